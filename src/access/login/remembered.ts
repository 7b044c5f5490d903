import { ExpiryTimes } from '../expiry-times.ts';

/** A bounded set of keys that expire; the oldest are evicted first. */
export class Remembered {
  readonly #until: ExpiryTimes;
  readonly #clock: () => number;
  readonly #for: number;

  /** @param options `keepFor` in milliseconds */
  constructor({ clock, keepFor, capacity }: { clock: () => number; keepFor: number; capacity: number }) {
    this.#clock = clock;
    this.#for = keepFor;
    this.#until = new ExpiryTimes(capacity);
  }

  has(key: string): boolean {
    return this.#until.get(key) > this.#clock();
  }

  add(key: string): void {
    const now = this.#clock();
    this.#until.set(key, now + this.#for, now);
  }

  get size(): number {
    return this.#until.size;
  }
}
