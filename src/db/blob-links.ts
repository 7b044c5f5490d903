import { sql } from 'kysely';
import type { Digest } from '../oci/digest.ts';
import { postponeReviews } from './blob-reviews.ts';
import { type HeldDigest, heldBlobs } from './blobs.ts';
import { inJsonList } from './dialect.ts';
import { type Db, type Params, prepare } from './prepare.ts';
import type { RepositoryRow } from './repositories.ts';
import type { BlobState } from './schema.ts';
import { inSlices, writtenSliceSize } from './slices.ts';
import type { SessionKey } from './uploads.ts';

const insertLink = prepare((db, p: Params<{ repository: number; digest: string; now: number }>) =>
  db
    .insertInto('repository_blobs')
    .values({
      repository_id: p('repository'),
      digest: p('digest'),
      created_at: p('now'),
      review_at: p('now'),
    })
    .onConflict((conflict) =>
      conflict.columns(['repository_id', 'digest']).doUpdateSet({ review_at: p('now') }),
    ),
);

/**
 * Links a blob to a repository, for a grace period or as long as a manifest needs it. The same transaction must have recorded the blob
 * or postponed its review.
 */
export async function linkBlob(db: Db, repository: number, digest: Digest, now: number): Promise<void> {
  await insertLink(db, { repository, digest, now });
}

const insertLinks = prepare(
  (db, p: Params<{ source: number; destination: number; digests: string; now: number }>) =>
    db
      .insertInto('repository_blobs')
      .columns(['repository_id', 'digest', 'created_at', 'review_at'])
      .expression(
        db
          .selectFrom('repository_blobs as held')
          .innerJoin('blobs', 'blobs.digest', 'held.digest')
          .select([
            sql<number>`cast(${p('destination')} as bigint)`.as('repository_id'),
            'held.digest',
            sql<number>`cast(${p('now')} as bigint)`.as('created_at'),
            sql<number>`cast(${p('now')} as bigint)`.as('review_at'),
          ])
          .where('held.repository_id', '=', p('source'))
          .where('held.digest', 'in', inJsonList(db, p('digests')))
          .where('blobs.state', '=', 'stored'),
      )
      .onConflict((conflict) =>
        conflict.columns(['repository_id', 'digest']).doUpdateSet({ review_at: p('now') }),
      ),
);

/** Postpones the reviews of those of the blobs that a repository holds, and returns them; they stay locked until the transaction ends. */
export async function lockBlobsOf(
  db: Db,
  repository: number,
  digests: Iterable<Digest>,
  now: number,
): Promise<HeldDigest[]> {
  const held = await heldBlobs(db, repository, digests);
  await postponeReviews(
    db,
    held.map(({ digest }) => digest),
    now,
  );
  return held;
}

/** {@link linkBlob} for those of the blobs that `source` holds. They must be locked by {@link lockBlobsOf}. */
export async function linkBlobsOf(
  db: Db,
  source: number,
  destination: number,
  digests: readonly Digest[],
  now: number,
): Promise<void> {
  await inSlices(
    digests,
    (slice) => insertLinks(db, { source, destination, digests: JSON.stringify(slice), now }),
    writtenSliceSize,
  );
}

/** {@link lockBlobsOf} and {@link linkBlobsOf}. */
export async function lockAndLinkBlobsOf(
  db: Db,
  source: number,
  destination: number,
  digests: Iterable<Digest>,
  now: number,
): Promise<void> {
  const held = await lockBlobsOf(db, source, digests, now);
  await linkBlobsOf(
    db,
    source,
    destination,
    held.map(({ digest }) => digest),
    now,
  );
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
        review_at: p('now'),
      })
      .onConflict((conflict) =>
        conflict
          .columns(['repository_id', 'digest'])
          .doUpdateSet({ session: p('session'), review_at: p('now') }),
      ),
);

type Session = Pick<SessionKey, 'id' | 'owner'>;

/**
 * {@link linkBlob} for an uploaded blob. Records the session, so that a client can repeat the last request of a session that has ended.
 */
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
    .where('blobs.state', '=', 'stored')
    .where('blobs.damaged_at', 'is', null),
);

/** Whether the repository holds the blob undamaged and this session was the last to upload it there. */
export async function isUploadedBy(db: Db, session: SessionKey, digest: Digest): Promise<boolean> {
  const { name } = session;
  return (await selectUploaded(db, { name, digest, session: printSession(session) })).length > 0;
}

function printSession({ owner, id }: Session): string {
  return `${owner} ${id}`;
}

const deleteLink = prepare((db, p: Params<{ repository: number; digest: string }>) =>
  db
    .deleteFrom('repository_blobs')
    .where('repository_id', '=', p('repository'))
    .where('digest', '=', p('digest'))
    .returning('digest'),
);

/** Removes the blob from the repository; false when the repository did not hold the blob. */
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
    .select(['repositories.id', 'repositories.name', 'repositories.visibility', 'repositories.trashed_at'])
    .select(['near.digest', 'blobs.state', 'blobs.damaged_at']);
});

/** A repository and a digest linked to it. */
export interface Link extends RepositoryRow {
  readonly digest: Digest;
  readonly state: BlobState;
  readonly damaged_at: number | null;
  /** Not null: the repository is hidden. */
  readonly trashed_at: number | null;
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
