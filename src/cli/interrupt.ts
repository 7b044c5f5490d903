// Ctrl-C, and what service managers send, for commands that can stop anywhere and go on another time.
import { Failure } from '../failure.ts';

/**
 * Runs `work`, whose signal the first SIGINT or SIGTERM aborts; what it rejects with then is told as `advice`. A second signal
 * ends the process, as if nobody listened.
 *
 * @throws Failure when it was interrupted
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
