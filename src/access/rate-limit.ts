/** Milliseconds. */
const window = 60_000;

/**
 * How often something may happen in a minute, by key. Kept for each is one time: that at which all of it would have ended, were it
 * spread evenly.
 */
export class RateLimit {
  /** In the order in which it last happened. */
  readonly #clearAt = new Map<string, number>();
  readonly #interval: number;
  readonly #clock: () => number;
  readonly #capacity: number;

  constructor({
    perMinute,
    clock,
    capacity = 100_000,
  }: {
    perMinute: number;
    clock: () => number;
    capacity?: number;
  }) {
    this.#interval = window / perMinute;
    this.#clock = clock;
    this.#capacity = capacity;
  }

  /** Seconds until it may happen again; 0: it may now. */
  wait(key: string): number {
    const now = this.#clock();
    const clearAt = Math.max(this.#clearAt.get(key) ?? 0, now);
    // A hundredth of a millisecond for what fractions lose.
    return Math.max(0, Math.ceil((clearAt + this.#interval - window - now - 0.01) / 1000));
  }

  count(key: string): void {
    const now = this.#clock();
    const clearAt = Math.max(this.#clearAt.get(key) ?? 0, now) + this.#interval;
    this.#clearAt.delete(key);
    this.#clearAt.set(key, clearAt);
    for (const [oldest, cleared] of this.#clearAt) {
      if (cleared > now && this.#clearAt.size <= this.#capacity) break;
      this.#clearAt.delete(oldest);
    }
  }

  get size(): number {
    return this.#clearAt.size;
  }
}
