import { LRUCache } from 'lru-cache';

/** The most expired times that one call removes, so that no request removes all keys of an earlier flood. */
const atOnce = 100;

/** Times in milliseconds by key. Forgets those that are over and, beyond its capacity, those set longest ago. */
export class ExpiryTimes {
  /** In the order in which they were set. */
  readonly #times: LRUCache<string, number>;

  constructor(capacity: number) {
    // With `max`, the cache would allocate the memory for all entries now.
    this.#times = new LRUCache({ maxSize: capacity, sizeCalculation: () => 1 });
  }

  /** The time last set, which may be over; 0 if there is none. */
  get(key: string): number {
    return this.#times.peek(key) ?? 0;
  }

  set(key: string, time: number, now: number): void {
    this.#times.set(key, time);
    let left = atOnce;
    for (const oldest of this.#times.rkeys()) {
      if (left === 0 || this.get(oldest) > now) return;
      this.#times.delete(oldest);
      left -= 1;
    }
  }

  get size(): number {
    return this.#times.size;
  }
}
