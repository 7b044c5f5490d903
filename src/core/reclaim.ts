// Finds the blobs that repositories no longer need, and decides which bytes are deleted.
import {
  type DueBefore,
  decideDeletions,
  listDueBlobs,
  queueUnheld,
  type UnheldBlob,
} from '../db/blob-deletions.ts';
import { type DueLink, listDueLinks, listUnneeded, removeUnneeded } from '../db/blob-reviews.ts';
import { lockBlobs } from '../db/locks.ts';
import { nextTurn } from '../db/next-turn.ts';
import type { Db } from '../db/prepare.ts';

/** Rows of one transaction: some milliseconds on SQLite, which has only one writer. */
const batch = 100;

/** Runs a transaction of garbage collection. */
export type Decide = <T>(work: (db: Db) => Promise<T>) => Promise<T>;

/**
 * Reviews the blobs that their repository may not need any more, and removes those that no manifest of it references. A push that
 * needs such a blob either commits before, and the blob stays, or finds that the repository does not hold it.
 * @param before reviews queued before this time are due, in milliseconds since 1970
 * @yields the numbers of blobs that each transaction removed from their repository and kept there
 */
export async function* removeUnneededBlobs(
  read: Db,
  decide: Decide,
  before: number,
): AsyncGenerator<{ readonly removed: number; readonly kept: number }> {
  for (let after: DueLink | undefined; ; ) {
    const due = await listDueLinks(read, before, after, batch);
    after = due.at(-1);
    if (after === undefined) return;
    yield await decide(async (db) => {
      const digests = [...new Set(due.map(({ digest }) => digest))].sort();
      await lockBlobs(db, digests);
      const removed = await removeUnneeded(db, due, before);
      // Stryker disable next-line ConditionalExpression,EqualityOperator: saves a query that changes nothing.
      if (removed.length > 0) {
        // The reviews are due, so the bytes are too, unless another repository needed them later.
        const released = [...new Set(removed.map(({ digest }) => digest))];
        await queueUnheld(db, released, before - 1);
      }
      return { removed: removed.length, kept: due.length - removed.length };
    });
    // Stryker disable next-line ConditionalExpression,EqualityOperator: saves a query that finds nothing.
    if (due.length < batch) return;
  }
}

/**
 * The blobs that {@link removeUnneededBlobs} would remove from their repositories now.
 * @yields a page of them, which may be empty
 */
export async function* findUnneededBlobs(read: Db, before: number): AsyncGenerator<readonly DueLink[]> {
  for (let after: DueLink | undefined; ; ) {
    const due = await listDueLinks(read, before, after, batch);
    after = due.at(-1);
    if (after === undefined) return;
    yield await listUnneeded(read, due, before);
    await nextTurn();
    // Stryker disable next-line ConditionalExpression,EqualityOperator: saves a query that finds nothing.
    if (due.length < batch) return;
  }
}

/**
 * Decides the deletion of blobs that no repository holds; later steps delete their bytes.
 * @yields after each transaction
 */
export async function* decideUnheld(read: Db, decide: Decide, due: DueBefore): AsyncGenerator<void> {
  for (let after: UnheldBlob | undefined; ; ) {
    const blobs = await listDueBlobs(read, due.reviewed, after, batch);
    after = blobs.at(-1);
    if (after === undefined) return;
    const digests = blobs.map(({ digest }) => digest).sort();
    await decide((db) => decideDeletions(db, digests, due));
    yield;
    // Stryker disable next-line ConditionalExpression,EqualityOperator: saves a query that finds nothing.
    if (blobs.length < batch) return;
  }
}
