import { sql } from 'kysely';
import type { Digest } from '../oci/digest.ts';
import type { Queue } from './blob-deletions.ts';
import { heldBlobs } from './blobs.ts';
import { inJsonList, isPostgres, jsonRows } from './dialect.ts';
import { lockBlobs, lockBlobsShared } from './locks.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';
import { anyQuota, type WithAnyQuota } from './quotas.ts';
import { inSlices } from './slices.ts';

const updateReview = prepare((db, p: Params<{ digest: string; now: number }>) =>
  db
    .updateTable('blobs')
    .set({ review_at: p('now') })
    .where('digest', '=', p('digest'))
    .where('state', '=', 'stored')
    .returning(anyQuota.as('any_quota')),
);

/**
 * Restarts the blob's grace period, when a repository gets or releases it, and locks its row until the transaction ends.
 * `undefined` when the blob is not stored.
 */
export async function postponeReview(db: Db, digest: Digest, now: number): Promise<WithAnyQuota | undefined> {
  return first(updateReview(db, { digest, now }));
}

/**
 * Locks the blobs that a manifest of the repository references, so that garbage collection does not remove them before the transaction
 * ends, and returns the digests that the repository holds undamaged. All transactions lock blobs in the order of their digests, to avoid
 * deadlocks.
 */
export async function lockHeld(db: Db, repository: number, digests: Iterable<Digest>): Promise<Set<string>> {
  const referenced = [...digests];
  await lockReferenced(db, referenced);
  const held = await heldBlobs(db, repository, referenced);
  return new Set(held.filter(({ isDamaged }) => !isDamaged).map(({ digest }) => digest));
}

/** {@link lockHeld} without a result, which saves the query. */
export async function lockReferenced(db: Db, digests: Iterable<Digest>): Promise<void> {
  await inSlices([...digests].sort(), (slice) => lockBlobsShared(db, slice));
}

const updateReviews = prepare((db, p: Params<{ digests: string; now: number }>) =>
  db
    .updateTable('blobs')
    .set({ review_at: p('now') })
    .where('digest', 'in', inJsonList(db, p('digests'))),
);

/** {@link postponeReview} for all these blobs. */
export async function postponeReviews(db: Db, digests: Iterable<Digest>, now: number): Promise<void> {
  await inSlices([...digests].sort(), async (slice) => {
    await lockBlobs(db, slice);
    await updateReviews(db, { digests: JSON.stringify(slice), now });
  });
}

interface Released {
  repository: number;
  digests: string;
  now: number;
}

/** Takes the locks in the order of the digests, so that two transactions do not deadlock. */
const lockLinks = prepare((db, p: Params<Omit<Released, 'now'>>) =>
  db
    .selectFrom('repository_blobs')
    .select('digest')
    .where('repository_id', '=', p('repository'))
    .where('digest', 'in', inJsonList(db, p('digests')))
    .orderBy('digest')
    .forNoKeyUpdate(),
);

const setReviews = prepare((db, p: Params<Released>) =>
  db
    .updateTable('repository_blobs')
    .set({ review_at: p('now') })
    .where('repository_id', '=', p('repository'))
    .where('digest', 'in', inJsonList(db, p('digests'))),
);

/** Queues reviews of blobs that a manifest of the repository needed, or restarts their grace periods. */
export async function queueReviews(
  db: Db,
  repository: number,
  digests: readonly string[],
  now: number,
): Promise<void> {
  const released = { repository, digests: JSON.stringify(digests) };
  if (isPostgres(db)) await lockLinks(db, released);
  await setReviews(db, { ...released, now });
}

/** A blob in a repository that waits for its review. */
export interface DueLink {
  readonly repository_id: number;
  readonly digest: Digest;
  readonly review_at: number;
}

interface LinkPosition {
  since: number;
  repository: number;
  digest: string;
}

const selectDueLinks = prepare((db, p: Params<LinkPosition & { before: number; limit: number }>) =>
  db
    .selectFrom('repository_blobs')
    .select(['repository_id', 'digest', 'review_at'])
    .where('review_at', '<', p('before'))
    .where(
      sql<boolean>`(review_at, repository_id, digest) > (${p('since')}, ${p('repository')}, ${p('digest')})`,
    )
    .orderBy('review_at')
    .orderBy('repository_id')
    .orderBy('digest')
    .limit(p('limit')),
);

/** The links whose review is due after `after`, those that wait longest first. */
export function listDueLinks(
  db: Db,
  before: number,
  after: DueLink | undefined,
  limit: number,
): Promise<DueLink[]> {
  return selectDueLinks(db, {
    since: after?.review_at ?? Number.MIN_SAFE_INTEGER,
    repository: after?.repository_id ?? 0,
    digest: after?.digest ?? '',
    before,
    limit,
  }) as Promise<DueLink[]>;
}

interface Reviewed {
  links: string;
  before: number;
}

const isNeeded = sql<boolean>`exists (
  select 1 from manifest_references as needed
  where needed.digest = repository_blobs.digest and needed.repository_id = repository_blobs.repository_id
)`;

function isGiven(db: Db, p: Params<Reviewed>) {
  const given = jsonRows(db, p('links'), { repository_id: 'bigint', digest: 'text' });
  return sql<boolean>`(repository_blobs.repository_id, repository_blobs.digest) in (select given.repository_id, given.digest from ${given})`;
}

const selectUnneeded = prepare((db, p: Params<Reviewed>) =>
  db
    .selectFrom('repository_blobs')
    .select(['repository_id', 'digest', 'review_at'])
    .where(isGiven(db, p))
    .where('review_at', '<', p('before'))
    .where(({ not }) => not(isNeeded)),
);

/** Which of the due links no manifest of their repository needs. */
export function listUnneeded(db: Db, links: readonly DueLink[], before: number): Promise<DueLink[]> {
  return selectUnneeded(db, { links: JSON.stringify(links), before }) as Promise<DueLink[]>;
}

const deleteUnneeded = prepare((db, p: Params<Reviewed>) =>
  db
    .deleteFrom('repository_blobs')
    .where(isGiven(db, p))
    .where('review_at', '<', p('before'))
    .where(({ not }) => not(isNeeded))
    .returning(['repository_id', 'digest', 'review_at']),
);

const endReviews = prepare((db, p: Params<Reviewed>) =>
  db
    .updateTable('repository_blobs')
    .set({ review_at: null })
    .where(isGiven(db, p))
    .where('review_at', '<', p('before')),
);

/**
 * Removes blobs from repositories whose manifests do not need them, if their reviews are still due. The others leave the queue. The
 * blobs must be locked, so that no manifest that needs them is pushed meanwhile.
 * @returns the removed links
 */
export async function removeUnneeded(db: Db, links: readonly DueLink[], before: number): Promise<DueLink[]> {
  const reviewed = { links: JSON.stringify(links), before };
  const removed = (await deleteUnneeded(db, reviewed)) as DueLink[];
  if (removed.length < links.length) await endReviews(db, reviewed);
  return removed;
}

const updateLinkReview = prepare((db, p: Params<{ repository: number; digest: string; now: number }>) =>
  db
    .updateTable('repository_blobs')
    .set({ review_at: p('now') })
    .where('repository_id', '=', p('repository'))
    .where('digest', '=', p('digest'))
    .where('review_at', 'is not', null),
);

/** Restarts the grace period of a blob in a repository if a review of it is queued. */
export async function postponeLinkReview(
  db: Db,
  repository: number,
  digest: Digest,
  now: number,
): Promise<void> {
  await updateLinkReview(db, { repository, digest, now });
}

const setBack = prepare((db, p: Params<{ now: number; implausible: number }>) =>
  db
    .updateTable('repository_blobs')
    .set({ review_at: p('now') })
    .where('review_at', '>', p('implausible')),
);

/** Sets reviews later than `implausible` to `now`, because such a time was written while the clock was ahead. */
export async function setBackReviews(db: Db, now: number, implausible: number): Promise<void> {
  await setBack(db, { now, implausible });
}

const oldest = prepare((db) =>
  db.selectFrom('repository_blobs').select((select) => select.fn.min('review_at').as('at')),
);

const countSome = prepare((db, p: Params<{ limit: number }>) =>
  db
    .selectFrom((some) =>
      some
        .selectFrom('repository_blobs')
        .select('digest')
        .where('review_at', 'is not', null)
        .limit(p('limit'))
        .as('some'),
    )
    .select((select) => select.fn.countAll<number>().as('count')),
);

/** The queue of reviews, of which at most `limit` are counted. */
export async function reviewQueue(db: Db, limit: number): Promise<Queue> {
  const counted = await first(countSome(db, { limit }));
  const found = await first(oldest(db, {}));
  return { length: Number(counted?.count ?? 0), oldest: found?.at ?? undefined };
}

const countOf = prepare((db, p: Params<{ digests: string }>) =>
  db
    .selectFrom('repository_blobs')
    .select(({ fn }) => ['digest', fn.countAll<number>().as('count')])
    .where('digest', 'in', inJsonList(db, p('digests')))
    .groupBy('digest'),
);

/** Number of repositories that hold each of the blobs; absent: none. */
export async function countLinks(db: Db, digests: readonly string[]): Promise<Map<string, number>> {
  const rows = await countOf(db, { digests: JSON.stringify(digests) });
  return new Map(rows.map(({ digest, count }) => [digest, Number(count)]));
}
