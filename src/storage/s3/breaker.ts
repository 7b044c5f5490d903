import { StoreUnavailable } from '../store-errors.ts';

const failuresInARow = 20;
/** Milliseconds. */
const openFor = 1000;

/**
 * After many failures in a row calls fail at once for a second, so that hundreds of requests do not each wait for their own
 * timeouts, and a service that comes back is not met by all of them. Then calls go through until one succeeds or fails.
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
