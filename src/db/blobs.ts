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

/** Where the bytes of a digest are, and how many. */
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

/** A blob, and the repository that it was found in. */
export interface HeldBlob extends StoredBlob {
  readonly repository_id: number;
  readonly visibility: Visibility;
}

/** The blob, if this repository holds it. */
export function findBlob(db: Db, name: RepositoryName, digest: Digest): Promise<HeldBlob | undefined> {
  return first(selectInRepository(db, { name, digest }));
}

const selectAnywhere = prepare((db, p: Params<{ digest: string }>) =>
  db
    .selectFrom('blobs')
    .select(['size', 'generation', 'state', 'parked_at'])
    .where('digest', '=', p('digest')),
);

/** What is known of a digest's bytes, whichever repository they belong to. */
export function findBytes(
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
 * Records that the bytes stand under the key of `generation`. False when that is not the row's own any more: a deletion was
 * decided, which will take the bytes with it (see `core/blobs.ts`).
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

/** Makes a blob one of the repository's; it was recorded, or its review postponed, in the same transaction. */
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

/** The same for a blob that an upload session brought, so that its last request can be repeated when the session is gone. */
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

/** Whether this session was the last to bring the blob to its repository, which holds it still. */
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
 * Somebody wants the blob, or lets it go: it is not deleted soon, and until the transaction ends nobody else decides about it.
 * False when there are no such bytes.
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

/** Takes the blob from the repository; false when it did not hold it. */
export async function unlinkBlob(db: Db, repository: number, digest: Digest): Promise<boolean> {
  return (await deleteLink(db, { repository, digest })).length > 0;
}

const selectNeighbours = prepare((db, p: Params<{ digest: string; limit: number }>) => {
  // The digest's own first, and then whatever comes after it, and from the beginning again: as many rows whoever holds it.
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

/** A repository, with a digest that it was linked to. */
export interface Link extends RepositoryRow {
  readonly digest: Digest;
  readonly state: BlobState;
}

/**
 * Links of repositories to the digest, filled up to `limit` with those of other digests, where there are so many. As it is the same
 * number of rows for a digest that many hold and for one that nobody does, the time it takes tells nobody which it is.
 */
export function listLinksFrom(db: Db, digest: Digest, limit: number): Promise<Link[]> {
  return selectNeighbours(db, { digest, limit }) as Promise<Link[]>;
}

/** The digests of all blobs that the repository holds. */
export async function listLinkedDigests(db: Db, repository: number): Promise<Digest[]> {
  const links = db.selectFrom('repository_blobs').select('digest').where('repository_id', '=', repository);
  return (await links.execute()).map(({ digest }) => digest as Digest);
}

/** Milliseconds by which a review may be behind the last interest; so a layer that all images share is not written at each push. */
const reviewSlack = 60_000;

const setBack = prepare((db, p: Params<{ now: number; implausible: number }>) =>
  db
    .updateTable('blobs')
    .set({ review_at: p('now') })
    .where('state', '=', 'stored')
    .where('review_at', '>', p('implausible')),
);

/** Blobs last reviewed after `implausible`, by a clock that has been set right since, count as reviewed at `now`. */
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
 * The same for all blobs that a manifest of the repository needs; returns the digests that the repository holds. A digest that only
 * other repositories hold is not postponed. Manifests that need the same blobs do not wait for each other, but for the first one in a
 * minute. All transactions lock blobs in the order of their digests.
 */
export async function postponeReviews(
  db: Db,
  repository: number,
  digests: Iterable<Digest>,
  now: number,
): Promise<Set<string>> {
  const held = new Set<string>();
  await inSlices([...digests].sort(), async (slice) => {
    for (const row of await postponeSome(db, repository, slice, now)) {
      if (row.state === 'stored') held.add(row.digest);
    }
  });
  return held;
}

async function postponeSome(db: Db, repository: number, digests: readonly Digest[], now: number) {
  const needed = { repository, digests: JSON.stringify(digests) };
  const rows = await selectNeeded(db, needed);
  // Read before any lock: two transactions that both hold the shared lock and want the exclusive one would wait for each other.
  if (rows.some((row) => row.review_at < now - reviewSlack)) {
    await lockBlobs(db, digests);
    await updateReviews(db, { ...needed, now });
  } else {
    await lockBlobsShared(db, digests);
  }
  // While PostgreSQL waited for the lock, another transaction may have unlinked some.
  return isPostgres(db) ? selectNeeded(db, needed) : rows;
}

const isUnheld = sql<boolean>`not exists (select 1 from repository_blobs as held where held.digest = blobs.digest)`;

/** Since when nobody may have taken an interest in a blob that goes, in milliseconds since 1970. */
export interface DueBefore {
  /** The last sign of interest. */
  readonly reviewed: number;
  /** The time at which it was parked, if it was. */
  readonly parked: number;
}

const decideDeletion = prepare(
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
 * Decides that the bytes of `generation` go, if no repository holds the blob and its review is due: from now on new bytes go
 * to the next generation's key. False when somebody wants it after all.
 */
export async function fenceDeletion(
  db: Db,
  digest: Digest,
  generation: number,
  due: DueBefore,
): Promise<boolean> {
  await lockBlobs(db, [digest]);
  return (await decideDeletion(db, { digest, generation, next: generation + 1, ...due })).length > 0;
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
 * Records bytes that no row knew, so that nothing is decided about them for a long time: they belong to no repository, and a
 * push of the same digest makes them an ordinary blob. False when a row has come to know them.
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

/** A stored blob's bytes are those of a later generation than its row says, as after an older copy of the database was restored. */
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

/** How many blobs are parked. */
export async function countParked(db: Db): Promise<number> {
  return Number((await countAllParked(db, {}))[0]?.count ?? 0);
}

const selectAnyRow = prepare((db) => db.selectFrom('blobs').select('digest').limit(1));

/** Whether the database knows, or has ever known, a blob. */
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

/** The bytes before `generation` are gone. The row stays, so that no generation is used twice. */
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

/** Stored blobs that no repository holds and whose review is due. */
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

/** Deletions that were decided and not finished; `generation` is the one that new bytes would go to. */
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

/** How many blobs are stored, and their bytes, among the `limit` rows after a digest; `last` is the last of them, if there was one. */
export async function sumBlobs(
  db: Db,
  after: string,
  limit: number,
): Promise<{ last: string | null; blobs: number; bytes: number }> {
  const row = await first(sumSlice(db, { after, limit }));
  // PostgreSQL sums bigints as numeric, which arrives as text.
  return { last: row?.last ?? null, blobs: Number(row?.blobs), bytes: Number(row?.bytes) };
}
