import { StoreUnavailable } from '../store-errors.ts';

const failuresInARow = 20;
/** Milliseconds. */
const openFor = 1000;

/**
 * Circuit breaker: after many failures in a row, rejects calls for a second, so that hundreds of requests do not each wait for a
 * timeout and do not all hit a recovering service. After that second calls are allowed: one failure rejects them for another
 * second, and one success resets the count.
 */
export class Breaker {
  readonly #now: () => number;
  #failures = 0;
  #openUntil = Number.NEGATIVE_INFINITY;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** @throws StoreUnavailable */
  check(): void {
    if (this.#now() < this.#openUntil) throw new StoreUnavailable('S3 is not called: its last calls failed');
  }

  succeeded(): void {
    this.#failures = 0;
  }

  failed(): void {
    this.#failures += 1;
    if (this.#failures >= failuresInARow) this.#openUntil = this.#now() + openFor;
  }
}
