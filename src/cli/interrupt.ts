// Handles SIGINT and SIGTERM in commands that can be stopped and resumed.
import { Failure } from '../failure.ts';

/**
 * Runs `work` with a signal that the first SIGINT or SIGTERM aborts. A second one ends the process.
 *
 * @throws Failure with `advice` when it was interrupted
 */
export async function interruptible<T>(
  advice: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const interrupted = new AbortController();
  const stop = (): void => interrupted.abort();
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.once(signal, stop);
  try {
    return await work(interrupted.signal);
  } catch (error) {
    throw interrupted.signal.aborted ? new Failure(`stopped; ${advice}`) : error;
  } finally {
    for (const signal of signals) process.off(signal, stop);
  }
}
