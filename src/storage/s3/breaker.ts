import { StoreUnavailable } from '../store-errors.ts';

const failuresInARow = 20;
/** Milliseconds. */
const openFor = 1000;

/**
 * Circuit breaker: after many failures in a row, rejects calls for a second, so that hundreds of requests do not each wait for a
 * timeout and do not all hit a recovering service. Then calls pass again until one succeeds or fails.
 */
export class Breaker {
  readonly #now: () => number;
  #failures = 0;
  #closedAt = Number.NEGATIVE_INFINITY;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** @throws StoreUnavailable */
  check(): void {
    if (this.#now() < this.#closedAt) throw new StoreUnavailable('S3 did not answer the last calls');
  }

  succeeded(): void {
    this.#failures = 0;
  }

  failed(): void {
    this.#failures += 1;
    if (this.#failures >= failuresInARow) this.#closedAt = this.#now() + openFor;
  }
}
