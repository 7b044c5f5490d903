import { RegistryError } from '../oci/errors.ts';

interface Transfer {
  /** Bytes moved so far; any number that grows with them. */
  readonly progress: () => number;
  readonly cut: (reason: RegistryError) => void;
  last: number;
  since: number;
}

/**
 * Cuts transfers that stall or trickle. There is no limit on how long a request may take: a large layer over a thin line takes
 * hours and is welcome, a client that sends a byte a minute holds a connection for nothing.
 */
export class SlowTransfers {
  readonly #window: number;
  readonly #minimum: number;
  readonly #transfers = new Set<Transfer>();
  #timer: NodeJS.Timeout | undefined;

  /** @param limits idle time in milliseconds, rate in bytes per second; both judged over one idle time */
  constructor(limits: { idleTimeout: number; minimumRate: number }) {
    this.#window = limits.idleTimeout;
    this.#minimum = Math.max(1, (limits.minimumRate * limits.idleTimeout) / 1000);
  }

  /** Watches a transfer until the function returned is called. */
  watch(progress: () => number, cut: (reason: RegistryError) => void): () => void {
    const transfer: Transfer = { progress, cut, last: progress(), since: performance.now() };
    this.#transfers.add(transfer);
    this.#timer ??= setInterval(() => this.#check(), Math.max(this.#window / 8, 10)).unref();
    return () => {
      this.#transfers.delete(transfer);
    };
  }

  get size(): number {
    return this.#transfers.size;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#transfers.clear();
  }

  #check(): void {
    const now = performance.now();
    for (const transfer of this.#transfers) {
      if (now - transfer.since < this.#window) continue;
      const moved = transfer.progress();
      if (moved - transfer.last < this.#minimum) {
        this.#transfers.delete(transfer);
        transfer.cut(
          new RegistryError('REQUEST_TIMEOUT', `less than ${this.#minimum} bytes in ${this.#window} ms`),
        );
      }
      transfer.last = moved;
      transfer.since = now;
    }
    if (this.#transfers.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }
}
