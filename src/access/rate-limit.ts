import { ExpiryTimes } from './expiry-times.ts';

/** Milliseconds. */
const window = 60_000;

/**
 * Limits the events of each key in a minute, by the generic cell rate algorithm. For each key it stores one time: when all counted
 * events would end if each took an equal part of the minute.
 */
export class RateLimit {
  readonly #clearAt: ExpiryTimes;
  readonly #interval: number;
  readonly #clock: () => number;

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
    this.#clearAt = new ExpiryTimes(capacity);
  }

  /** Seconds until the next event is allowed; 0: now. */
  wait(key: string): number {
    const now = this.#clock();
    const clearAt = Math.max(this.#clearAt.get(key), now);
    // 0.01 ms allow for rounding errors.
    return Math.max(0, Math.ceil((clearAt + this.#interval - window - now - 0.01) / 1000));
  }

  count(key: string): void {
    const now = this.#clock();
    this.#clearAt.set(key, Math.max(this.#clearAt.get(key), now) + this.#interval, now);
  }

  get size(): number {
    return this.#clearAt.size;
  }
}
