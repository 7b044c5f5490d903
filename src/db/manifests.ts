import { type Expression, sql } from 'kysely';
import type { Digest } from '../oci/digest.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Tag } from '../oci/reference.ts';
import { referrerRank } from '../oci/referrer-rank.ts';
import { queueReviews } from './blob-reviews.ts';
import { inJsonList, isPostgres, jsonList, lockAgainstDeletion } from './dialect.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';
import { inSlices, sliceSize, untilDone, writtenSliceSize } from './slices.ts';

/** A manifest without its bytes; an `id` identifies one immutable document in one repository. */
export interface ManifestRow {
  readonly id: number;
  readonly repository_id: number;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
}

const columns = ['manifests.id', 'manifests.repository_id', 'manifests.digest', 'manifests.size'] as const;

const selectByTag = prepare((db, p: Params<{ name: string; tag: string }>) =>
  db
    .selectFrom('repositories')
    .innerJoin('tags', 'tags.repository_id', 'repositories.id')
    .innerJoin('manifests', 'manifests.id', 'tags.manifest_id')
    .select(columns)
    .where('repositories.name', '=', p('name'))
    .where('tags.name', '=', p('tag')),
);

const selectByDigest = prepare((db, p: Params<{ name: string; digest: string }>) =>
  db
    .selectFrom('repositories')
    .innerJoin('manifests', 'manifests.repository_id', 'repositories.id')
    .select(columns)
    .where('repositories.name', '=', p('name'))
    .where('manifests.digest', '=', p('digest')),
);

export function findManifestByTag(db: Db, name: RepositoryName, tag: Tag): Promise<ManifestRow | undefined> {
  return first(selectByTag(db, { name, tag })) as Promise<ManifestRow | undefined>;
}

export function findManifestByDigest(
  db: Db,
  name: RepositoryName,
  digest: Digest,
): Promise<ManifestRow | undefined> {
  return first(selectByDigest(db, { name, digest })) as Promise<ManifestRow | undefined>;
}

const selectIn = prepare((db, p: Params<{ repository: number; digest: string }>) =>
  db
    .selectFrom('manifests')
    .select('id')
    .where('repository_id', '=', p('repository'))
    .where('digest', '=', p('digest')),
);

/** The row id of the manifest, if the repository holds it. */
export async function findManifestIn(
  db: Db,
  repository: number,
  digest: Digest,
): Promise<number | undefined> {
  return (await first(selectIn(db, { repository, digest })))?.id;
}

const selectContent = prepare((db, p: Params<{ id: number }>) =>
  db.selectFrom('manifests').select(['bytes', 'media_type', 'digest', 'size']).where('id', '=', p('id')),
);

export interface ManifestContent {
  readonly bytes: Uint8Array;
  readonly media_type: string;
  readonly digest: string;
  readonly size: number;
}

export function findManifestContent(db: Db, id: number): Promise<ManifestContent | undefined> {
  return first(selectContent(db, { id }));
}

export interface NewManifest {
  readonly repository: number;
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Uint8Array;
  readonly subject: Digest | null;
  readonly artifactType: string | null;
  readonly annotations: string | null;
}

function selectLocked(db: Db, p: Params<{ repository: number; digest: string }>) {
  return lockAgainstDeletion(
    db,
    db
      .selectFrom('manifests')
      .select(['id', 'media_type'])
      .where('repository_id', '=', p('repository'))
      .where('digest', '=', p('digest')),
  );
}

const selectId = prepare(selectLocked);

/** The manifest's id and media type, if the repository holds it. Locks it against deletion until the transaction ends. */
export function lockManifestShared(
  db: Db,
  repository: number,
  digest: Digest,
): Promise<{ id: number; media_type: string } | undefined> {
  return first(selectId(db, { repository, digest }));
}

interface InsertedManifest extends Omit<NewManifest, 'digest'> {
  digest: string;
  size: number;
  rank: number;
  annotationsSize: number;
  now: number;
}

const valuesOf = (p: Params<InsertedManifest>) => ({
  repository_id: p('repository'),
  digest: p('digest'),
  media_type: p('mediaType'),
  bytes: p('bytes'),
  size: p('size'),
  subject_digest: p('subject'),
  artifact_type: p('artifactType'),
  rank: p('rank'),
  annotations: p('annotations'),
  annotations_size: p('annotationsSize'),
  created_at: p('now'),
});

const insert = prepare((db, p: Params<InsertedManifest>) =>
  db
    .insertInto('manifests')
    .values(valuesOf(p))
    .onConflict((conflict) => conflict.columns(['repository_id', 'digest']).doNothing())
    .returning(['id', 'media_type']),
);

/** {@link lockManifestShared}, and the insertion if it finds none, in one statement of PostgreSQL. */
const lockOrInsert = prepare((db, p: Params<InsertedManifest>) => {
  const entries = Object.entries(valuesOf(p)) as [keyof ReturnType<typeof valuesOf>, Expression<never>][];
  return db
    .with('existing', () => selectLocked(db, p))
    .with('inserted', (db) =>
      db
        .insertInto('manifests')
        .columns(entries.map(([name]) => name))
        .expression(
          db
            .selectNoFrom(entries.map(([name, value]) => sql`${value}`.as(name)))
            .where((where) => where.not(where.exists(where.selectFrom('existing').select('id')))),
        )
        .onConflict((conflict) => conflict.columns(['repository_id', 'digest']).doNothing())
        .returning(['id', 'media_type']),
    )
    .selectFrom('existing')
    .select(['id', 'media_type', sql<boolean>`false`.as('isNew')])
    .unionAll((db) => db.selectFrom('inserted').select(['id', 'media_type', sql<boolean>`true`.as('isNew')]));
});

/** A manifest that the repository holds. */
interface HeldManifest {
  readonly id: number;
  readonly media_type: string;
  /** Whether it was just inserted, without its references. */
  readonly isNew: boolean;
}

/**
 * Inserts a manifest, unless the repository holds it; then locks it against deletion until the transaction ends. On PostgreSQL this
 * tries again if another transaction inserts or deletes the manifest at the same time.
 */
export async function ensureManifest(db: Db, manifest: NewManifest, now: number): Promise<HeldManifest> {
  const { bytes, artifactType, annotations } = manifest;
  const row = {
    ...manifest,
    size: bytes.length,
    rank: referrerRank(artifactType),
    annotationsSize: annotations === null ? 0 : Buffer.byteLength(annotations),
    now,
  };
  if (!isPostgres(db)) {
    const [inserted] = await insert(db, row);
    if (inserted !== undefined) return { ...inserted, isNew: true };
    const existing = await first(selectId(db, row));
    return { ...(existing as { id: number; media_type: string }), isNew: false };
  }
  for (;;) {
    const held = await first(lockOrInsert(db, row));
    if (held !== undefined) return held;
  }
}

const insertAll = prepare((db, p: Params<{ manifest: number; digests: string; kind: 'blob' | 'child' }>) =>
  db
    .insertInto('manifest_references')
    .columns(['manifest_id', 'digest', 'kind', 'repository_id'])
    .expression(
      db
        .selectFrom(jsonList(db, p('digests')).as('needed'))
        .select([
          sql<number>`cast(${p('manifest')} as bigint)`.as('manifest_id'),
          'needed.value as digest',
          sql<'blob' | 'child'>`cast(${p('kind')} as text)`.as('kind'),
          sql<number>`(select repository_id from manifests where id = ${p('manifest')})`.as('repository_id'),
        ]),
    ),
);

/** Records the references of a new manifest, once for each digest. */
export async function insertReferences(
  db: Db,
  manifest: number,
  kind: 'blob' | 'child',
  digests: Iterable<Digest>,
): Promise<void> {
  const each = [...new Set(digests)];
  if (each.length === 0) return;
  // In the order of the table's key, which is the cheapest to insert.
  await inSlices(each.sort(), async (slice) => {
    await insertAll(db, { manifest, digests: JSON.stringify(slice), kind });
  });
}

const selectHeld = prepare((db, p: Params<{ repository: number; digests: string }>) =>
  db
    .selectFrom('manifests')
    .select('digest')
    .where('repository_id', '=', p('repository'))
    .where('digest', 'in', inJsonList(db, p('digests'))),
);

/** Which of `digests` the repository holds as manifests. */
export async function heldManifests(
  db: Db,
  repository: number,
  digests: Iterable<Digest>,
): Promise<Set<string>> {
  const held = new Set<string>();
  await inSlices([...digests], async (slice) => {
    const rows = await selectHeld(db, { repository, digests: JSON.stringify(slice) });
    for (const { digest } of rows) held.add(digest);
  });
  return held;
}

const selectReferring = prepare((db, p: Params<{ repository: number; digest: string }>) =>
  db
    .selectFrom('manifest_references')
    .innerJoin('manifests', 'manifests.id', 'manifest_references.manifest_id')
    .select('manifests.digest')
    .where('manifest_references.digest', '=', p('digest'))
    .where('manifest_references.repository_id', '=', p('repository'))
    .limit(1),
);

/** A manifest of the repository that references this digest, if there is one. */
export async function findReferring(db: Db, repository: number, digest: Digest): Promise<string | undefined> {
  return (await first(selectReferring(db, { repository, digest })))?.digest;
}

const deleteReferences = prepare((db, p: Params<{ manifest: number; limit: number }>) =>
  db
    .deleteFrom('manifest_references')
    .where('manifest_id', '=', p('manifest'))
    .where('digest', 'in', (where) =>
      where
        .selectFrom('manifest_references as first')
        .select('first.digest')
        .where('first.manifest_id', '=', p('manifest'))
        .limit(p('limit')),
    )
    .returning(['digest', 'repository_id']),
);

const deleteById = prepare((db, p: Params<{ id: number }>) =>
  db.deleteFrom('manifests').where('id', '=', p('id')),
);

/**
 * Deletes the manifest and its recorded references, and queues reviews of the blobs that it needed. Its tags must be deleted before.
 */
export async function deleteManifest(db: Db, id: number, now: number): Promise<void> {
  await untilDone(async () => {
    const deleted = await deleteReferences(db, { manifest: id, limit: sliceSize });
    const [some] = deleted;
    if (some !== undefined) {
      const digests = deleted.map(({ digest }) => digest);
      await queueReviews(db, some.repository_id, digests, now);
    }
    return deleted.length;
  });
  await deleteById(db, { id });
}

const selectReferenced = prepare((db, p: Params<{ manifest: number; after: string; limit: number }>) =>
  db
    .selectFrom('manifest_references')
    .select('digest')
    .where('manifest_id', '=', p('manifest'))
    .where('digest', '>', p('after'))
    .orderBy('digest')
    .limit(p('limit')),
);

/** The digests that the manifest references, blobs and children. */
export async function listReferenced(db: Db, manifest: number): Promise<Digest[]> {
  const digests: Digest[] = [];
  await untilDone(async () => {
    const rows = await selectReferenced(db, { manifest, after: digests.at(-1) ?? '', limit: sliceSize });
    for (const { digest } of rows) digests.push(digest as Digest);
    return rows.length;
  });
  return digests;
}

const moveReferences = prepare((db, p: Params<{ manifest: number; repository: number; digests: string }>) =>
  db
    .updateTable('manifest_references')
    .set({ repository_id: p('repository') })
    .where('manifest_id', '=', p('manifest'))
    .where('digest', 'in', inJsonList(db, p('digests'))),
);

const moveById = prepare((db, p: Params<{ id: number; repository: number }>) =>
  db
    .updateTable('manifests')
    .set({ repository_id: p('repository') })
    .where('id', '=', p('id')),
);

/**
 * Moves the manifest to a repository that does not hold it and to which its blobs are linked, and queues reviews of these blobs in the
 * repository that it leaves. Its tags must be deleted before.
 */
export async function moveManifest(
  db: Db,
  id: number,
  { from, to }: { readonly from: number; readonly to: number },
  now: number,
): Promise<void> {
  const move = async (slice: readonly Digest[]): Promise<void> => {
    await moveReferences(db, { manifest: id, repository: to, digests: JSON.stringify(slice) });
    await queueReviews(db, from, slice, now);
  };
  await inSlices(await listReferenced(db, id), move, writtenSliceSize);
  await moveById(db, { id, repository: to });
}
