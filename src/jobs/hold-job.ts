import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '../db/database.ts';
import { takeJobLease } from './job-lease.ts';
import { jobLeaseLength } from './jobs.ts';

/** A job that a command runs instead of a server. */
export interface HeldJob extends AsyncDisposable {
  /** Aborted before another process can run the job. */
  readonly lost: AbortSignal;
}

/**
 * Holds the lease of a job until it is disposed of, which counts as the end of a run.
 * @param patience milliseconds to wait for another holder
 * @returns `undefined` if another process still holds the lease
 */
export async function holdJob(
  database: Database,
  name: string,
  patience: number,
): Promise<HeldJob | undefined> {
  const { clock } = database;
  // The command reports a lost lease, and another process can take one that was not released.
  const parts = { database, clock, holder: randomUUID(), length: jobLeaseLength, failed: () => {} };
  const deadline = performance.now() + patience;
  for (;;) {
    const lease = await takeJobLease(parts, name, 0);
    if (lease !== undefined) {
      return { lost: lease.lost, [Symbol.asyncDispose]: () => lease.release(clock()) };
    }
    if (performance.now() >= deadline) return undefined;
    await delay(500);
  }
}
