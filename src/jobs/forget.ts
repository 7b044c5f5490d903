import type { Clock } from '../core/clock.ts';
import { type ChangePosition, deleteChanges } from '../db/changes.ts';
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

/**
 * Deletes changes older than `keepFor` milliseconds, and moves of tags older than `keepTagMovesFor` if that is longer, in batches.
 *
 * @returns the number of deleted rows
 */
export async function forgetChanges(
  parts: {
    readonly database: Database;
    readonly clock: Clock;
    readonly keepFor: number;
    readonly keepTagMovesFor: number;
  },
  signal: AbortSignal,
): Promise<number> {
  const { database, clock, keepFor, keepTagMovesFor } = parts;
  const now = clock();
  const before = { others: now - keepFor, tagMoves: now - Math.max(keepFor, keepTagMovesFor) };
  let removed = 0;
  for (let position: ChangePosition | undefined = { at: 0, id: 0 }; position !== undefined; ) {
    signal.throwIfAborted();
    const after: ChangePosition = position;
    const { deleted, next } = await database.transaction(
      (db) => deleteChanges(db, before, after, batchSize),
      { durable: false },
    );
    removed += deleted;
    position = next;
  }
  return removed;
}
