/** A bounded set of keys that expire; the oldest are evicted first. */
export class Remembered {
  /** Expiry times, in ascending order. */
  readonly #until = new Map<string, number>();
  readonly #clock: () => number;
  readonly #for: number;
  readonly #capacity: number;

  /** @param options `keepFor` in milliseconds */
  constructor({ clock, keepFor, capacity }: { clock: () => number; keepFor: number; capacity: number }) {
    this.#clock = clock;
    this.#for = keepFor;
    this.#capacity = capacity;
  }

  has(key: string): boolean {
    return (this.#until.get(key) ?? 0) > this.#clock();
  }

  add(key: string): void {
    const now = this.#clock();
    this.#until.delete(key);
    this.#until.set(key, now + this.#for);
    for (const [oldest, until] of this.#until) {
      if (until > now && this.#until.size <= this.#capacity) break;
      this.#until.delete(oldest);
    }
  }

  get size(): number {
    return this.#until.size;
  }
}
