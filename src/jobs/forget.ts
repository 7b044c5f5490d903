import type { Clock } from '../core/clock.ts';
import type { Database } from '../db/database.ts';
import type { Db } from '../db/prepare.ts';

const batchSize = 1_000;

/**
 * Deletes the rows of a table from before some time, a few at a time, so that nobody waits for them long.
 *
 * @param remove deletes as many rows as it is told at most, and says how many
 */
export async function forget(
  parts: { readonly database: Database; readonly clock: Clock; readonly keepFor: number },
  remove: (db: Db, before: number, limit: number) => Promise<number>,
  signal: AbortSignal,
): Promise<number> {
  const before = parts.clock() - parts.keepFor;
  let removed = 0;
  for (let batch = batchSize; batch === batchSize; removed += batch) {
    signal.throwIfAborted();
    // Should a power cut bring rows back, the next run takes them again.
    batch = await parts.database.transaction((db) => remove(db, before, batchSize), { durable: false });
  }
  return removed;
}
