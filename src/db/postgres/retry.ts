import { setTimeout as delay } from 'node:timers/promises';
import { asGivenUp, ConnectionLost, isConflict } from './errors.ts';

const maxTries = 8;
/** Milliseconds after which a transaction is not retried. */
const window = 5_000;
const longestPause = 200;

/**
 * Retries a transaction after a conflict with another one, or when its connection broke before the commit was sent: the server has
 * rolled it back. The pauses are random, so that two conflicting transactions do not conflict again.
 *
 * @throws DatabaseUnavailable after the last attempt
 */
export async function retryConflicts<T>(transaction: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + window;
  for (let tries = 1; ; tries++) {
    try {
      return await transaction();
    } catch (error) {
      if (!isConflict(error) && !(error instanceof ConnectionLost)) throw error;
      if (tries === maxTries || performance.now() > deadline) throw asGivenUp(error);
    }
    await delay(Math.random() * Math.min(longestPause, 5 * 2 ** tries));
  }
}
