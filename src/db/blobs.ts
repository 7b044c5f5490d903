import { sql } from 'kysely';
import type { Digest } from '../oci/digest.ts';
import type { RepositoryName } from '../oci/name.ts';
import { inJsonList } from './dialect.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';
import { anyQuota, type WithAnyQuota } from './quotas.ts';
import type { BlobState, Visibility } from './schema.ts';
import { inSlices } from './slices.ts';

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
    .select(['repository_blobs.review_at', 'blobs.damaged_at'])
    .where('repositories.name', '=', p('name'))
    .where('repository_blobs.digest', '=', p('digest'))
    .where('blobs.state', '=', 'stored'),
);

/** A blob in a repository. */
export interface HeldBlob extends StoredBlob {
  readonly repository_id: number;
  readonly visibility: Visibility;
  /** Since when no manifest of the repository may need the blob, in milliseconds since 1970; null if no review is queued. */
  readonly review_at: number | null;
  /** Since when its bytes are known to be missing or wrong, in milliseconds since 1970; null if they are not. */
  readonly damaged_at: number | null;
}

/** The blob, if the repository holds it. */
export function findBlob(db: Db, name: RepositoryName, digest: Digest): Promise<HeldBlob | undefined> {
  return first(selectInRepository(db, { name, digest }));
}

const selectHeld = prepare((db, p: Params<{ repository: number; digests: string }>) =>
  db
    .selectFrom('repository_blobs as held')
    .innerJoin('blobs', 'blobs.digest', 'held.digest')
    .select(['held.digest', 'blobs.damaged_at'])
    .where('held.repository_id', '=', p('repository'))
    .where('held.digest', 'in', inJsonList(db, p('digests')))
    .where('blobs.state', '=', 'stored'),
);

/** A blob that a repository holds. */
export interface HeldDigest {
  readonly digest: Digest;
  /** Whether its bytes are known to be missing or wrong. */
  readonly isDamaged: boolean;
}

/** Which of `digests` the repository holds as blobs, ordered by digest. */
export async function heldBlobs(
  db: Db,
  repository: number,
  digests: Iterable<Digest>,
): Promise<HeldDigest[]> {
  const held: HeldDigest[] = [];
  await inSlices([...digests], async (slice) => {
    const rows = await selectHeld(db, { repository, digests: JSON.stringify(slice) });
    for (const { digest, damaged_at: since } of rows)
      held.push({ digest: digest as Digest, isDamaged: since !== null });
  });
  return held.sort((a, b) => (a.digest < b.digest ? -1 : 1));
}

const selectAnywhere = prepare((db, p: Params<{ digest: string }>) =>
  db
    .selectFrom('blobs')
    .select(['size', 'generation', 'state', 'review_at', 'parked_at', 'damaged_at'])
    .where('digest', '=', p('digest')),
);

/** The row of a digest; times in milliseconds since 1970. */
export interface BlobRow extends StoredBlob {
  readonly state: BlobState;
  readonly review_at: number;
  readonly parked_at: number | null;
  readonly damaged_at: number | null;
}

/** The row of a digest, independent of repositories. */
export function findBlobRow(db: Db, digest: Digest): Promise<BlobRow | undefined> {
  return first(selectAnywhere(db, { digest }));
}

const selectForCommit = prepare((db, p: Params<{ digest: string }>) =>
  db.selectNoFrom((from) => [
    from.selectFrom('blobs').select('generation').where('digest', '=', p('digest')).as('generation'),
    from.selectFrom('blobs').select('damaged_at').where('digest', '=', p('digest')).as('damaged_at'),
    anyQuota.as('any_quota'),
  ]),
);

/**
 * The generation under whose key new bytes of the blob are stored, whether its present bytes are damaged, and whether the registry has
 * any quota.
 */
export async function findForCommit(
  db: Db,
  digest: Digest,
): Promise<WithAnyQuota & { generation: number; isDamaged: boolean }> {
  const row = await first(selectForCommit(db, { digest }));
  const isDamaged = typeof row?.damaged_at === 'number';
  return { generation: row?.generation ?? 0, isDamaged, any_quota: row?.any_quota ?? 0 };
}

const selectMany = prepare((db, p: Params<{ digests: string }>) =>
  db
    .selectFrom('blobs')
    .select(['digest', 'size', 'generation', 'state'])
    .where('digest', 'in', inJsonList(db, p('digests'))),
);

/** {@link findBlobRow} of many digests; those without a row are missing in the result. */
export async function findBlobRows(
  db: Db,
  digests: readonly Digest[],
): Promise<Map<string, StoredBlob & { state: BlobState }>> {
  const found = new Map<string, StoredBlob & { state: BlobState }>();
  await inSlices(digests, async (slice) => {
    for (const row of await selectMany(db, { digests: JSON.stringify(slice) })) found.set(row.digest, row);
  });
  return found;
}

const selectHeldByName = prepare((db, p: Params<{ name: string; digests: string }>) =>
  db
    .selectFrom('repositories')
    .innerJoin('repository_blobs', 'repository_blobs.repository_id', 'repositories.id')
    .select('repository_blobs.digest')
    .where('repositories.name', '=', p('name'))
    .where('repository_blobs.digest', 'in', inJsonList(db, p('digests'))),
);

/** Which of `digests` the repository holds as blobs. */
export async function heldBlobsByName(
  db: Db,
  name: RepositoryName,
  digests: readonly Digest[],
): Promise<Set<string>> {
  const held = new Set<string>();
  await inSlices(digests, async (slice) => {
    for (const { digest } of await selectHeldByName(db, { name, digests: JSON.stringify(slice) }))
      held.add(digest);
  });
  return held;
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
          .doUpdateSet({
            size: p('size'),
            state: 'stored',
            review_at: p('now'),
            parked_at: null,
            damaged_at: null,
          })
          .where('blobs.generation', '=', p('generation')),
      )
      .returning(anyQuota.as('any_quota')),
);

/**
 * Records that the bytes are stored under the key of `generation`, which ends a mark of damage. `undefined` when the row has a later
 * generation: garbage collection has decided to delete the bytes of this one (see `core/blobs.ts`).
 */
export async function recordStored(
  db: Db,
  blob: { digest: Digest; size: number; generation: number },
  now: number,
): Promise<WithAnyQuota | undefined> {
  return first(upsertStored(db, { ...blob, now }));
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

/**
 * Number and bytes of the stored blobs among the `limit` rows after a digest; `last` is the last digest among them, or null if there are
 * no more rows.
 */
export async function sumBlobs(
  db: Db,
  after: string,
  limit: number,
): Promise<{ last: string | null; blobs: number; bytes: number }> {
  const row = await first(sumSlice(db, { after, limit }));
  // PostgreSQL sums bigints as numeric, which `pg` returns as text.
  return { last: row?.last ?? null, blobs: Number(row?.blobs), bytes: Number(row?.bytes) };
}
