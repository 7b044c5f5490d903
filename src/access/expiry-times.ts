import { LRUCache } from 'lru-cache';

/** Maximum of expired times that one call removes, so that no single request removes all keys of an earlier flood. */
const maxRemoved = 100;

/** Expiry times in milliseconds by key. Removes times that have passed and, beyond the capacity, the oldest entries. */
export class ExpiryTimes {
  /** In the order in which they were set. */
  readonly #times: LRUCache<string, number>;

  constructor(capacity: number) {
    // With `max`, the cache would allocate the memory for all entries now.
    this.#times = new LRUCache({ maxSize: capacity, sizeCalculation: () => 1 });
  }

  /** The time last set, which may have passed; 0 if there is none. */
  get(key: string): number {
    return this.#times.peek(key) ?? 0;
  }

  set(key: string, time: number, now: number): void {
    this.#times.set(key, time);
    let left = maxRemoved;
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
