import type { Digest } from '../oci/digest.ts';
import { inJsonList, isPostgres } from './dialect.ts';
import { lockBlobs, lockBlobsShared } from './locks.ts';
import { type Db, type Params, prepare } from './prepare.ts';
import { inSlices } from './slices.ts';

const updateReview = prepare((db, p: Params<{ digest: string; now: number }>) =>
  db
    .updateTable('blobs')
    .set({ review_at: p('now') })
    .where('digest', '=', p('digest'))
    .where('state', '=', 'stored')
    .returning('digest'),
);

/**
 * Restarts the blob's grace period, when a repository gets or releases it, and locks its row until the transaction ends. False when
 * the blob is not stored.
 */
export async function postponeReview(db: Db, digest: Digest, now: number): Promise<boolean> {
  return (await updateReview(db, { digest, now })).length > 0;
}

/** Milliseconds by which `review_at` may lag behind, so that pushes do not all update the row of a layer shared by all images. */
const reviewSlack = 60_000;

const setBack = prepare((db, p: Params<{ now: number; implausible: number }>) =>
  db
    .updateTable('blobs')
    .set({ review_at: p('now') })
    .where('state', '=', 'stored')
    .where('review_at', '>', p('implausible')),
);

/** Sets every `review_at` later than `implausible` to `now`, because such a time was written while the clock was ahead. */
export async function setBackReviews(db: Db, now: number, implausible: number): Promise<void> {
  await setBack(db, { now, implausible });
}

interface Needed {
  repository: number;
  digests: string;
}

const selectNeeded = prepare((db, p: Params<Needed>) =>
  db
    .selectFrom('repository_blobs as held')
    .innerJoin('blobs', 'blobs.digest', 'held.digest')
    .select(['held.digest', 'blobs.state', 'blobs.review_at'])
    .where('held.repository_id', '=', p('repository'))
    .where('held.digest', 'in', inJsonList(db, p('digests'))),
);

const updateReviews = prepare((db, p: Params<Needed & { now: number }>) =>
  db
    .updateTable('blobs')
    .set({ review_at: p('now') })
    .where('digest', 'in', (where) =>
      where
        .selectFrom('repository_blobs as held')
        .select('held.digest')
        .where('held.repository_id', '=', p('repository'))
        .where('held.digest', 'in', inJsonList(db, p('digests'))),
    ),
);

/**
 * {@link postponeReview} for the blobs that a manifest of the repository references; returns the digests that the repository holds.
 * The reviews of blobs that this repository does not hold are not postponed. Pushes of manifests with the same blobs block each other at
 * most once a minute. All
 * transactions lock blobs in the order of their digests, to avoid deadlocks.
 */
export async function postponeReviews(
  db: Db,
  repository: number,
  digests: Iterable<Digest>,
  now: number,
): Promise<Set<string>> {
  const held = new Set<string>();
  await inSlices([...digests].sort(), async (slice) => {
    const found = await postponeSome(db, repository, slice, now);
    // While this waited for the lock, another transaction may have unlinked some.
    for (const row of isPostgres(db) ? await selectNeeded(db, neededOf(repository, slice)) : found) {
      if (row.state === 'stored') held.add(row.digest);
    }
  });
  return held;
}

/** {@link postponeReviews} without a result, which saves a query on PostgreSQL. */
export async function postponeReviewsOfHeld(
  db: Db,
  repository: number,
  digests: Iterable<Digest>,
  now: number,
): Promise<void> {
  await inSlices([...digests].sort(), async (slice) => void (await postponeSome(db, repository, slice, now)));
}

function neededOf(repository: number, digests: readonly Digest[]): Needed {
  return { repository, digests: JSON.stringify(digests) };
}

/** Returns the rows as they were before the lock. */
async function postponeSome(db: Db, repository: number, digests: readonly Digest[], now: number) {
  const needed = neededOf(repository, digests);
  const rows = await selectNeeded(db, needed);
  // Decided before locking: two transactions that upgraded from the shared to the exclusive lock would deadlock.
  if (rows.some((row) => row.review_at < now - reviewSlack)) {
    await lockBlobs(db, digests);
    await updateReviews(db, { ...needed, now });
  } else {
    await lockBlobsShared(db, digests);
  }
  return rows;
}
