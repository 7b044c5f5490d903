/** A body that is being received into memory. */
export interface Holder {
  /** Memory has become scarce: bytes beyond {@link UploadMemory.share} should be sent now. */
  scarce(): void;
}

const smallestShare = 64 << 10;

/**
 * Limits the memory of all bodies on their way to the bucket. Until half is used, each body fills whole segments. After that each
 * gets an equal share, so that many slow clients neither fill the memory nor block a fast one. Bodies beyond the number of smallest
 * shares wait, first come first served.
 */
export class UploadMemory {
  readonly #limit: number;
  readonly #holders = new Set<Holder>();
  readonly #waiting: (() => void)[] = [];
  #held = 0;

  /** @param limit bytes; each body may exceed it by at most what a socket delivers at once */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Bytes held now. */
  get held(): number {
    return this.#held;
  }

  get isScarce(): boolean {
    return this.#held >= this.#limit / 2;
  }

  /** Bytes that each body may hold, besides those being sent, when memory is scarce. */
  get share(): number {
    return Math.max(smallestShare, Math.floor(this.#limit / 4 / Math.max(1, this.#holders.size)));
  }

  /** Resolves when the holder may start receiving. */
  async enter(holder: Holder): Promise<void> {
    if (this.#holders.size >= this.#limit / 4 / smallestShare) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#holders.add(holder);
  }

  leave(holder: Holder): void {
    this.#holders.delete(holder);
    this.#waiting.shift()?.();
  }

  /** @param bytes negative when memory is released */
  hold(bytes: number): void {
    const scarceBefore = this.isScarce;
    this.#held += bytes;
    if (this.isScarce && !scarceBefore) for (const holder of [...this.#holders]) holder.scarce();
  }
}
