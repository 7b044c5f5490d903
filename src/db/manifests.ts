import type { Digest } from '../oci/digest.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Tag } from '../oci/reference.ts';
import { inJsonList, keepRows } from './dialect.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';

/** A manifest without its bytes; `id` stands for one immutable document in one repository. */
export interface ManifestRow {
  readonly id: number;
  readonly repository_id: number;
  readonly digest: Digest;
}

const columns = ['manifests.id', 'manifests.repository_id', 'manifests.digest'] as const;

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

const selectId = prepare((db, p: Params<{ repository: number; digest: string }>) =>
  keepRows(
    db,
    db
      .selectFrom('manifests')
      .select(['id', 'media_type'])
      .where('repository_id', '=', p('repository'))
      .where('digest', '=', p('digest')),
  ),
);

/** The manifest's id and media type, if the repository holds it; it then stays until the transaction ends. */
export function keepManifest(
  db: Db,
  repository: number,
  digest: Digest,
): Promise<{ id: number; media_type: string } | undefined> {
  return first(selectId(db, { repository, digest }));
}

const insert = prepare(
  (db, p: Params<Omit<NewManifest, 'digest'> & { digest: string; size: number; now: number }>) =>
    db
      .insertInto('manifests')
      .values({
        repository_id: p('repository'),
        digest: p('digest'),
        media_type: p('mediaType'),
        bytes: p('bytes'),
        size: p('size'),
        subject_digest: p('subject'),
        artifact_type: p('artifactType'),
        annotations: p('annotations'),
        created_at: p('now'),
      })
      .returning('id'),
);

/** Inserts a manifest that the repository does not hold yet; its id. */
export async function insertManifest(db: Db, manifest: NewManifest, now: number): Promise<number> {
  const [row] = await insert(db, { ...manifest, size: manifest.bytes.length, now });
  return (row as { id: number }).id;
}

const insertReference = prepare(
  (db, p: Params<{ manifest: number; digest: string; kind: 'blob' | 'child' }>) =>
    db
      .insertInto('manifest_references')
      .values({ manifest_id: p('manifest'), digest: p('digest'), kind: p('kind') })
      .onConflict((conflict) => conflict.columns(['manifest_id', 'digest', 'kind']).doNothing()),
);

/** Records what the manifest needs; one digest named twice is one reference. */
export async function insertReferences(
  db: Db,
  manifest: number,
  kind: 'blob' | 'child',
  digests: Iterable<Digest>,
): Promise<void> {
  for (const digest of digests) await insertReference(db, { manifest, digest, kind });
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
  const rows = await selectHeld(db, { repository, digests: JSON.stringify([...digests]) });
  return new Set(rows.map((row) => row.digest));
}

const selectUser = prepare((db, p: Params<{ repository: number; digest: string }>) =>
  db
    .selectFrom('manifest_references')
    .innerJoin('manifests', 'manifests.id', 'manifest_references.manifest_id')
    .select('manifests.digest')
    .where('manifest_references.digest', '=', p('digest'))
    .where('manifests.repository_id', '=', p('repository'))
    .limit(1),
);

/** A manifest of the repository that needs this digest, if there is one. */
export async function findReferring(db: Db, repository: number, digest: Digest): Promise<string | undefined> {
  return (await first(selectUser(db, { repository, digest })))?.digest;
}

const deleteById = prepare((db, p: Params<{ id: number }>) =>
  db.deleteFrom('manifests').where('id', '=', p('id')),
);

/** Deletes the manifest and what it is recorded to need; its tags must be gone. */
export async function deleteManifest(db: Db, id: number): Promise<void> {
  await deleteById(db, { id });
}
