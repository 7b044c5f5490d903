const minute = 60_000;
const maxKeys = 100_000;

/**
 * How often each of many may do something: so many times in any minute at first, and evenly from then on. What is kept of each is
 * one number, the time until which they have used up what they may (the generic cell rate algorithm). It is kept of so many at
 * the most; who has been quiet the longest is forgotten first, and begins anew.
 */
export class Rate {
  readonly #interval: number;
  readonly #usedUntil = new Map<string, number>();

  constructor(perMinute: number) {
    this.#interval = minute / perMinute;
  }

  /**
   * Takes one, if there is one left.
   *
   * @param now milliseconds by a clock that only goes on
   * @returns 0, or the seconds after which there is one again
   */
  take(key: string, now: number): number {
    const used = Math.max(this.#usedUntil.get(key) ?? now, now) + this.#interval;
    // What fractions of a millisecond add up to is nobody's fault.
    const over = used - now - minute - 0.001;
    if (over > 0) return Math.ceil(over / 1_000);
    // As the last of the map, whose first is the longest unused.
    this.#usedUntil.delete(key);
    if (this.#usedUntil.size >= maxKeys)
      this.#usedUntil.delete(this.#usedUntil.keys().next().value as string);
    this.#usedUntil.set(key, used);
    return 0;
  }
}
