import { sql } from 'kysely';
import type { Digest } from '../oci/digest.ts';
import type { RepositoryName } from '../oci/name.ts';
import { inJsonList, isPostgres } from './dialect.ts';
import { lockBlobs, lockBlobsShared } from './locks.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';
import type { RepositoryRow } from './repositories.ts';
import type { BlobState, Visibility } from './schema.ts';
import { inSlices } from './slices.ts';
import type { SessionKey } from './uploads.ts';

/** Size and generation of stored bytes. */
export interface StoredBlob {
  readonly size: number;
  readonly generation: number;
}

const selectInRepository = prepare((db, p: Params<{ name: string; digest: string }>) =>
  db
    .selectFrom('repositories')
    .innerJoin('repository_blobs', 'repository_blobs.repository_id', 'repositories.id')
    .innerJoin('blobs', 'blobs.digest', 'repository_blobs.digest')
    .select(['blobs.size', 'blobs.generation', 'repositories.id as repository_id', 'repositories.visibility'])
    .where('repositories.name', '=', p('name'))
    .where('repository_blobs.digest', '=', p('digest'))
    .where('blobs.state', '=', 'stored'),
);

/** A blob in a repository. */
export interface HeldBlob extends StoredBlob {
  readonly repository_id: number;
  readonly visibility: Visibility;
}

/** The blob, if the repository holds it. */
export function findBlob(db: Db, name: RepositoryName, digest: Digest): Promise<HeldBlob | undefined> {
  return first(selectInRepository(db, { name, digest }));
}

const selectAnywhere = prepare((db, p: Params<{ digest: string }>) =>
  db
    .selectFrom('blobs')
    .select(['size', 'generation', 'state', 'parked_at'])
    .where('digest', '=', p('digest')),
);

/** The row of a digest, independent of repositories. */
export function findBlobRow(
  db: Db,
  digest: Digest,
): Promise<(StoredBlob & { state: BlobState; parked_at: number | null }) | undefined> {
  return first(selectAnywhere(db, { digest }));
}

const upsertStored = prepare(
  (db, p: Params<{ digest: string; size: number; generation: number; now: number }>) =>
    db
      .insertInto('blobs')
      .values({
        digest: p('digest'),
        size: p('size'),
        generation: p('generation'),
        state: 'stored',
        created_at: p('now'),
        review_at: p('now'),
      })
      .onConflict((conflict) =>
        conflict
          .column('digest')
          .doUpdateSet({ size: p('size'), state: 'stored', review_at: p('now'), parked_at: null })
          .where('blobs.generation', '=', p('generation')),
      )
      .returning('digest'),
);

/**
 * Records that the bytes are stored under the key of `generation`. False when the row has a later generation: a deletion was
 * decided that will delete these bytes (see `core/blobs.ts`).
 */
export async function recordStored(
  db: Db,
  blob: { digest: Digest; size: number; generation: number },
  now: number,
): Promise<boolean> {
  return (await upsertStored(db, { ...blob, now })).length > 0;
}

const insertLink = prepare((db, p: Params<{ repository: number; digest: string; now: number }>) =>
  db
    .insertInto('repository_blobs')
    .values({ repository_id: p('repository'), digest: p('digest'), created_at: p('now') })
    .onConflict((conflict) => conflict.columns(['repository_id', 'digest']).doNothing()),
);

/** Links a blob to a repository. The same transaction must have recorded the blob or postponed its review. */
export async function linkBlob(db: Db, repository: number, digest: Digest, now: number): Promise<void> {
  await insertLink(db, { repository, digest, now });
}

const upsertUploaded = prepare(
  (db, p: Params<{ repository: number; digest: string; session: string; now: number }>) =>
    db
      .insertInto('repository_blobs')
      .values({
        repository_id: p('repository'),
        digest: p('digest'),
        created_at: p('now'),
        session: p('session'),
      })
      .onConflict((conflict) =>
        conflict.columns(['repository_id', 'digest']).doUpdateSet({ session: p('session') }),
      ),
);

type Session = Pick<SessionKey, 'id' | 'owner'>;

/** {@link linkBlob} for an uploaded blob. Records the session, so that its last request can be repeated after it has ended. */
export async function linkUploaded(
  db: Db,
  repository: number,
  digest: Digest,
  session: Session,
  now: number,
): Promise<void> {
  await upsertUploaded(db, { repository, digest, session: printSession(session), now });
}

const selectUploaded = prepare((db, p: Params<{ name: string; digest: string; session: string }>) =>
  db
    .selectFrom('repositories')
    .innerJoin('repository_blobs', 'repository_blobs.repository_id', 'repositories.id')
    .innerJoin('blobs', 'blobs.digest', 'repository_blobs.digest')
    .select('blobs.digest')
    .where('repositories.name', '=', p('name'))
    .where('repository_blobs.digest', '=', p('digest'))
    .where('repository_blobs.session', '=', p('session'))
    .where('blobs.state', '=', 'stored'),
);

/** Whether the repository holds the blob and this session was the last to upload it there. */
export async function isUploadedBy(db: Db, session: SessionKey, digest: Digest): Promise<boolean> {
  const { name } = session;
  return (await selectUploaded(db, { name, digest, session: printSession(session) })).length > 0;
}

function printSession({ owner, id }: Session): string {
  return `${owner} ${id}`;
}

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

const deleteLink = prepare((db, p: Params<{ repository: number; digest: string }>) =>
  db
    .deleteFrom('repository_blobs')
    .where('repository_id', '=', p('repository'))
    .where('digest', '=', p('digest'))
    .returning('digest'),
);

/** Removes the blob from the repository; false when it did not hold it. */
export async function unlinkBlob(db: Db, repository: number, digest: Digest): Promise<boolean> {
  return (await deleteLink(db, { repository, digest })).length > 0;
}

const selectNeighbours = prepare((db, p: Params<{ digest: string; limit: number }>) => {
  // Links of the digest first, then those of following digests, wrapping around: the same number of rows for every digest.
  const near = sql<{ repository_id: number; digest: Digest }>`(
    select * from (
      select repository_id, digest from repository_blobs
      where digest >= ${p('digest')} order by digest limit ${p('limit')}
    ) as following
    union all
    select * from (
      select repository_id, digest from repository_blobs
      where digest < ${p('digest')} order by digest limit ${p('limit')}
    ) as first
    limit ${p('limit')}
  )`;
  return db
    .selectFrom(near.as('near'))
    .innerJoin('repositories', 'repositories.id', 'near.repository_id')
    .innerJoin('blobs', 'blobs.digest', 'near.digest')
    .select(['repositories.id', 'repositories.name', 'repositories.visibility'])
    .select(['near.digest', 'blobs.state']);
});

/** A repository and a digest linked to it. */
export interface Link extends RepositoryRow {
  readonly digest: Digest;
  readonly state: BlobState;
}

/**
 * Links of repositories to the digest, padded to `limit` with links of other digests. As the number of rows does not depend on how
 * many repositories hold the digest, the time of the query does not reveal it.
 */
export function listLinksFrom(db: Db, digest: Digest, limit: number): Promise<Link[]> {
  return selectNeighbours(db, { digest, limit }) as Promise<Link[]>;
}

/** Digests of all blobs that the repository holds. */
export async function listLinkedDigests(db: Db, repository: number): Promise<Digest[]> {
  const links = db.selectFrom('repository_blobs').select('digest').where('repository_id', '=', repository);
  return (await links.execute()).map(({ digest }) => digest as Digest);
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

/** Sets each `review_at` after `implausible` to `now`: it was written while the clock was ahead. */
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
 * Other repositories' blobs are not postponed. Pushes of manifests with the same blobs block each other only once a minute. All
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

const isUnheld = sql<boolean>`not exists (select 1 from repository_blobs as held where held.digest = blobs.digest)`;

/** Times before which an unheld blob is due for deletion, in milliseconds since 1970. */
export interface DueBefore {
  /** For `review_at`. */
  readonly reviewed: number;
  /** For `parked_at`, if it is parked. */
  readonly parked: number;
}

const markDeleting = prepare(
  (db, p: Params<DueBefore & { digest: string; generation: number; next: number }>) =>
    db
      .updateTable('blobs')
      .set({ state: 'deleting', generation: p('next'), parked_at: null })
      .where('digest', '=', p('digest'))
      .where('generation', '=', p('generation'))
      .where(isUnheld)
      .where('review_at', '<', p('reviewed'))
      .where((where) => where.or([where('parked_at', 'is', null), where('parked_at', '<', p('parked'))]))
      .returning('digest'),
);

/**
 * Decides to delete the bytes of `generation`, if no repository holds the blob and it is due. From then on new bytes get the key of
 * the next generation. False when the blob is held or no longer due.
 */
export async function decideDeletion(
  db: Db,
  digest: Digest,
  generation: number,
  due: DueBefore,
): Promise<boolean> {
  await lockBlobs(db, [digest]);
  return (await markDeleting(db, { digest, generation, next: generation + 1, ...due })).length > 0;
}

const upsertParked = prepare(
  (db, p: Params<{ digest: string; size: number; generation: number; now: number }>) =>
    db
      .insertInto('blobs')
      .values({
        digest: p('digest'),
        size: p('size'),
        generation: p('generation'),
        state: 'stored',
        created_at: p('now'),
        review_at: p('now'),
        parked_at: p('now'),
      })
      .onConflict((conflict) =>
        conflict
          .column('digest')
          .doUpdateSet({
            size: p('size'),
            generation: p('generation'),
            state: 'stored',
            review_at: p('now'),
            parked_at: p('now'),
          })
          .where((where) =>
            where.or([
              where('blobs.generation', '<', p('generation')),
              where.and([
                where('blobs.generation', '=', p('generation')),
                where('blobs.state', '<>', 'stored'),
              ]),
            ]),
          ),
      )
      .returning('digest'),
);

/**
 * Records bytes without a row, so that they are kept for `deletes.keepUnknownFor`. They belong to no repository; a push of the same
 * digest makes them an ordinary blob. False when a row has been written meanwhile.
 */
export async function parkBlob(
  db: Db,
  blob: { digest: Digest; size: number; generation: number },
  now: number,
): Promise<boolean> {
  return (await upsertParked(db, { ...blob, now })).length > 0;
}

const raiseGeneration = prepare((db, p: Params<{ digest: string; size: number; generation: number }>) =>
  db
    .updateTable('blobs')
    .set({ size: p('size'), generation: p('generation') })
    .where('digest', '=', p('digest'))
    .where('state', '=', 'stored')
    .where('generation', '<', p('generation'))
    .returning('digest'),
);

/** Raises a stored blob's generation to that of its bytes, which are newer than the row after restoring an older database. */
export async function moveToGeneration(
  db: Db,
  blob: { digest: Digest; size: number; generation: number },
): Promise<boolean> {
  return (await raiseGeneration(db, blob)).length > 0;
}

const countAllParked = prepare((db) =>
  db
    .selectFrom('blobs')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('parked_at', 'is not', null),
);

/** Number of parked blobs. */
export async function countParked(db: Db): Promise<number> {
  return Number((await countAllParked(db, {}))[0]?.count ?? 0);
}

const selectAnyRow = prepare((db) => db.selectFrom('blobs').select('digest').limit(1));

/** Whether the database has, or ever had, a blob. */
export async function knowsBlobs(db: Db): Promise<boolean> {
  return (await selectAnyRow(db, {})).length > 0;
}

const markDeleted = prepare((db, p: Params<{ digest: string; generation: number }>) =>
  db
    .updateTable('blobs')
    .set({ state: 'deleted' })
    .where('digest', '=', p('digest'))
    .where('generation', '=', p('generation'))
    .where('state', '=', 'deleting'),
);

/** Records that the bytes before `generation` are deleted. The row stays, so that no generation is used twice. */
export async function recordDeleted(db: Db, digest: Digest, generation: number): Promise<void> {
  await markDeleted(db, { digest, generation });
}

interface DueBlob {
  readonly digest: Digest;
  readonly generation: number;
}

const selectUnheld = prepare((db, p: Params<DueBefore & { after: string; limit: number }>) =>
  db
    .selectFrom('blobs')
    .select(['digest', 'generation'])
    .where('state', '=', 'stored')
    .where('review_at', '<', p('reviewed'))
    .where((where) => where.or([where('parked_at', 'is', null), where('parked_at', '<', p('parked'))]))
    .where('digest', '>', p('after'))
    .where(isUnheld)
    .orderBy('digest')
    .limit(p('limit')),
);

/** Stored blobs that no repository holds and that are due for deletion. */
export function listUnheldBlobs(db: Db, due: DueBefore, after: string, limit: number): Promise<DueBlob[]> {
  return selectUnheld(db, { ...due, after, limit }) as Promise<DueBlob[]>;
}

const selectDeleting = prepare((db, p: Params<{ after: string; limit: number }>) =>
  db
    .selectFrom('blobs')
    .select(['digest', 'generation'])
    .where('state', '=', 'deleting')
    .where('digest', '>', p('after'))
    .orderBy('digest')
    .limit(p('limit')),
);

/** Decided deletions that are not completed; `generation` is the one for new bytes. */
export function listDeletions(db: Db, after: string, limit: number): Promise<DueBlob[]> {
  return selectDeleting(db, { after, limit }) as Promise<DueBlob[]>;
}

const sumSlice = prepare((db, p: Params<{ after: string; limit: number }>) =>
  db
    .selectFrom((slice) =>
      slice
        .selectFrom('blobs')
        .select(['digest', 'size', 'state'])
        .where('digest', '>', p('after'))
        .orderBy('digest')
        .limit(p('limit'))
        .as('slice'),
    )
    .select(({ fn }) => [
      fn.max('slice.digest').as('last'),
      sql<number>`coalesce(sum(case when slice.state = 'stored' then 1 else 0 end), 0)`.as('blobs'),
      sql<number>`coalesce(sum(case when slice.state = 'stored' then slice.size else 0 end), 0)`.as('bytes'),
    ]),
);

/** Number and bytes of the stored blobs among the `limit` rows after a digest; `last` is the last digest, null after the end. */
export async function sumBlobs(
  db: Db,
  after: string,
  limit: number,
): Promise<{ last: string | null; blobs: number; bytes: number }> {
  const row = await first(sumSlice(db, { after, limit }));
  // PostgreSQL sums bigints as numeric, which `pg` returns as text.
  return { last: row?.last ?? null, blobs: Number(row?.blobs), bytes: Number(row?.bytes) };
}
