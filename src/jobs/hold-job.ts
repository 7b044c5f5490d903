import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '../db/database.ts';
import { releaseLease, renewLease, takeLease } from '../db/leases.ts';

/** Milliseconds after which another process takes over from a dead one. */
const lease = 30_000;

/** A lease of a job, during which no other process runs the job. */
export interface HeldJob extends AsyncDisposable {
  /** Aborted when another process has taken the lease, or it could not be renewed in time. */
  readonly lost: AbortSignal;
}

/**
 * Takes the lease of a job and renews it until it is disposed of, which counts as the end of a run.
 * @param patience milliseconds to wait for another holder
 * @return undefined if another process still holds the lease
 */
export async function holdJob(
  database: Database,
  name: string,
  patience: number,
): Promise<HeldJob | undefined> {
  const { clock } = database;
  const holder = randomUUID();
  let until = 0;
  const take = (): Promise<boolean> =>
    database.transaction((db) => {
      const now = clock();
      until = now + lease;
      return takeLease(db, { name, holder, now, until, releasedBefore: now });
    });
  for (const deadline = performance.now() + patience; !(await take()); await delay(500)) {
    if (performance.now() >= deadline) return undefined;
  }
  const lost = new AbortController();
  const renew = async (): Promise<void> => {
    const next = clock() + lease;
    try {
      if (await database.transaction((db) => renewLease(db, { name, holder, until: next }))) until = next;
      else lost.abort(new Error(`another process has taken the lease of the job ${name}`));
    } catch (error) {
      if (clock() > until) lost.abort(error);
    }
  };
  const timer = setInterval(renew, lease / 6);
  return {
    lost: lost.signal,
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      const ended = { name, holder, at: clock() };
      await database.transaction((db) => releaseLease(db, ended)).catch(() => {});
    },
  };
}
