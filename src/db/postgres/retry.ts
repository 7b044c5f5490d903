import { setTimeout as delay } from 'node:timers/promises';
import { asGivenUp, ConnectionLost, isConflict } from './errors.ts';

const maxTries = 8;
/** Milliseconds after which a transaction is not begun again. */
const window = 5_000;
const longestPause = 200;

/**
 * Runs a transaction again that another one came in the way of, or whose connection broke before its commit was sent: the
 * server has undone it. The pauses are random, or two that collided would collide again.
 *
 * @throws DatabaseUnavailable when it never got through
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
