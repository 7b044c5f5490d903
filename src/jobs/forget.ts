import type { Clock } from '../core/clock.ts';
import type { Database } from '../db/database.ts';
import type { Db } from '../db/prepare.ts';

const batchSize = 1_000;

/**
 * Deletes the rows of a table older than `keepFor` milliseconds, in batches, so that other transactions do not wait long.
 *
 * @param remove deletes at most `limit` rows and returns how many
 * @returns the number of deleted rows
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
    // If a power cut undoes this, the next run deletes the rows again.
    batch = await parts.database.transaction((db) => remove(db, before, batchSize), { durable: false });
  }
  return removed;
}
