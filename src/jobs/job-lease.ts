import type { Clock } from '../core/clock.ts';
import type { Database } from '../db/database.ts';
import { releaseLease, renewLease, takeLease } from '../db/leases.ts';

/** The lease of a job, during which no other process runs it. */
export interface JobLease {
  /** Aborted before another process can take the lease. */
  readonly lost: AbortSignal;
  /**
   * Stops renewing, and releases the lease.
   * @param at when the run ended, in milliseconds since 1970; 0 if it did not, so that any process may run the job at once
   */
  release(at: number): Promise<void>;
}

export interface JobLeaseParts {
  readonly database: Pick<Database, 'transaction'>;
  /** The database's clock, which all processes share. */
  readonly clock: Clock;
  /** Unique id of this process, never reused. */
  readonly holder: string;
  /** Milliseconds after which another process takes over from a dead one. */
  readonly length: number;
  /** Receives failures to renew or release the lease, which are retried or end with its time. */
  readonly failed: (error: unknown) => void;
}

/**
 * Takes the lease of a job, and renews it until it is released.
 * @param interval milliseconds since the end of the last run, before which the lease is not given
 * @returns `undefined` if another process holds the lease, or the interval has not passed
 */
export async function takeJobLease(
  { database, clock, holder, length, failed }: JobLeaseParts,
  name: string,
  interval: number,
): Promise<JobLease | undefined> {
  // A power cut may undo a change of the lease; then the job runs once more.
  const durable = false;
  let until = 0;
  const isTaken = await database.transaction(
    (db) => {
      // Read inside the transaction: waiting for a connection may take long.
      const now = clock();
      until = now + length;
      return takeLease(db, { name, holder, now, until, releasedBefore: now - interval });
    },
    { durable },
  );
  if (!isTaken) return undefined;

  const renewInterval = length / 6;
  const lost = new AbortController();
  const renew = async (): Promise<void> => {
    const now = clock();
    if (now + renewInterval > until) lost.abort(new Error('the lease could not be renewed in time'));
    const terms = { name, holder, until: now + length };
    try {
      if (await database.transaction((db) => renewLease(db, terms), { durable })) until = terms.until;
      else lost.abort(new Error('another process has taken the lease'));
    } catch (error) {
      failed(error);
    }
  };
  const timer = setInterval(renew, renewInterval);
  return {
    lost: lost.signal,
    async release(at) {
      clearInterval(timer);
      await database.transaction((db) => releaseLease(db, { name, holder, at }), { durable }).catch(failed);
    },
  };
}
