// Queries of `core/fsck`: read every table in pages of its key, and find the manifests and repositories that damage affects.
import type { Digest } from '../oci/digest.ts';
import { type BlobRow, findBlobRow } from './blobs.ts';
import { inJsonList } from './dialect.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';
import type { BlobState } from './schema.ts';

const pageSize = 500;

/** All rows of `load`, page by page, so that only one page is in memory. */
async function* paged<Row>(load: (last: Row | undefined) => Promise<Row[]>): AsyncGenerator<Row> {
  for (let last: Row | undefined; ; ) {
    const rows = await load(last);
    yield* rows;
    if (rows.length < pageSize) return;
    last = rows.at(-1);
  }
}

const countAll = prepare((db) =>
  db.selectFrom('repositories').select((select) => select.fn.countAll<number>().as('count')),
);

export async function countRepositories(db: Db): Promise<number> {
  return Number((await countAll(db, {}))[0]?.count ?? 0);
}

const selectStored = prepare((db, p: Params<{ after: string; since: number; limit: number }>) =>
  db
    .selectFrom('blobs')
    .select(['digest', 'size', 'generation', 'review_at', 'parked_at', 'damaged_at'])
    .where('state', '=', 'stored')
    .where('review_at', '>=', p('since'))
    .where('digest', '>', p('after'))
    .orderBy('digest')
    .limit(p('limit')),
);

export interface StoredBlobRow extends Omit<BlobRow, 'state'> {
  readonly digest: string;
}

/**
 * The stored blobs in the order of their digests.
 *
 * @param since only blobs with `review_at` at or after this time, which includes all with new bytes
 * @param after only digests after this one
 */
export function everyStoredBlob(db: Db, since = 0, after = ''): AsyncGenerator<StoredBlobRow> {
  return paged((last) => selectStored(db, { after: last?.digest ?? after, since, limit: pageSize }));
}

/** The row of a blob as {@link everyStoredBlob} reads it, if it is still stored. */
export async function findStoredBlob(db: Db, digest: string): Promise<StoredBlobRow | undefined> {
  const { state, ...row } = (await findBlobRow(db, digest as Digest)) ?? {};
  return state === 'stored' ? ({ digest, ...row } as StoredBlobRow) : undefined;
}

const sumStored = prepare((db, p: Params<{ since: number }>) =>
  db
    .selectFrom('blobs')
    .select(({ fn }) => [fn.countAll<number>().as('blobs'), fn.sum<number>('size').as('bytes')])
    .where('state', '=', 'stored')
    .where('review_at', '>=', p('since')),
);

/** Number and bytes of the blobs of {@link everyStoredBlob}. */
export async function countStoredBlobs(db: Db, since = 0): Promise<{ blobs: number; bytes: number }> {
  const [row] = await sumStored(db, { since });
  return { blobs: Number(row?.blobs ?? 0), bytes: Number(row?.bytes ?? 0) };
}

const selectLinks = prepare((db, p: Params<{ repository: number; digest: string; limit: number }>) =>
  db
    .selectFrom('repository_blobs')
    .innerJoin('repositories', 'repositories.id', 'repository_blobs.repository_id')
    .leftJoin('blobs', 'blobs.digest', 'repository_blobs.digest')
    .select(['repositories.name', 'repository_id', 'repository_blobs.digest', 'blobs.state'])
    .where(({ eb, refTuple, tuple }) =>
      eb(refTuple('repository_id', 'repository_blobs.digest'), '>', tuple(p('repository'), p('digest'))),
    )
    .orderBy('repository_id')
    .orderBy('repository_blobs.digest')
    .limit(p('limit')),
);

export interface LinkRow {
  readonly name: string;
  readonly repository_id: number;
  readonly digest: string;
  /** State of the linked blob; null if it has no row. */
  readonly state: BlobState | null;
}

export function everyLink(db: Db): AsyncGenerator<LinkRow> {
  return paged((last) =>
    selectLinks(db, { repository: last?.repository_id ?? 0, digest: last?.digest ?? '', limit: pageSize }),
  );
}

const selectManifestIds = prepare((db, p: Params<{ after: number; limit: number }>) =>
  db.selectFrom('manifests').select('id').where('id', '>', p('after')).orderBy('id').limit(p('limit')),
);

/** @param after only ids after this one */
export async function* everyManifestId(db: Db, after = 0): AsyncGenerator<number> {
  for await (const { id } of paged<{ id: number }>((last) =>
    selectManifestIds(db, { after: last?.id ?? after, limit: pageSize }),
  )) {
    yield id;
  }
}

const selectManifest = prepare((db, p: Params<{ id: number }>) =>
  db
    .selectFrom('manifests')
    .innerJoin('repositories', 'repositories.id', 'manifests.repository_id')
    .selectAll('manifests')
    .select(['repositories.name', 'repositories.trash_of'])
    .where('manifests.id', '=', p('id')),
);

export interface WholeManifestRow {
  readonly id: number;
  readonly name: string;
  readonly repository_id: number;
  /** The repository where it was deleted, if the trash has it. */
  readonly trash_of: number | null;
  readonly digest: string;
  readonly media_type: string;
  readonly bytes: Uint8Array;
  readonly size: number;
  readonly subject_digest: string | null;
  readonly artifact_type: string | null;
  readonly rank: number;
  readonly annotations: string | null;
  readonly annotations_size: number;
}

export function findWholeManifest(db: Db, id: number): Promise<WholeManifestRow | undefined> {
  return first(selectManifest(db, { id }));
}

const selectReferences = prepare((db, p: Params<{ manifest: number }>) =>
  db
    .selectFrom('manifest_references')
    .innerJoin('manifests', 'manifests.id', 'manifest_references.manifest_id')
    .select(['manifest_references.digest', 'kind'])
    .where('manifest_id', '=', p('manifest'))
    // With another repository's id, garbage collection would not find the reference.
    .whereRef('manifest_references.repository_id', '=', 'manifests.repository_id'),
);

/** The recorded references of the manifest. */
export function listReferences(
  db: Db,
  manifest: number,
): Promise<{ digest: string; kind: 'blob' | 'child' }[]> {
  return selectReferences(db, { manifest });
}

const selectLinked = prepare((db, p: Params<{ repository: number; digests: string }>) =>
  db
    .selectFrom('repository_blobs')
    .select('digest')
    .where('repository_id', '=', p('repository'))
    .where('digest', 'in', inJsonList(db, p('digests'))),
);

/** Which of `digests` are linked to the repository, whatever the state of their bytes. */
export async function linkedBlobs(
  db: Db,
  repository: number,
  digests: Iterable<Digest>,
): Promise<Set<string>> {
  const rows = await selectLinked(db, { repository, digests: JSON.stringify([...digests]) });
  return new Set(rows.map((row) => row.digest));
}

const selectTags = prepare((db, p: Params<{ repository: number; tag: string; limit: number }>) =>
  db
    .selectFrom('tags')
    .innerJoin('repositories', 'repositories.id', 'tags.repository_id')
    .leftJoin('manifests', 'manifests.id', 'tags.manifest_id')
    .select([
      'repositories.name',
      'tags.repository_id',
      'tags.name as tag',
      'tags.manifest_id',
      'manifests.repository_id as manifest_repository_id',
    ])
    .where(({ eb, refTuple, tuple }) =>
      eb(refTuple('tags.repository_id', 'tags.name'), '>', tuple(p('repository'), p('tag'))),
    )
    .orderBy('tags.repository_id')
    .orderBy('tags.name')
    .limit(p('limit')),
);

export interface TagRow {
  readonly name: string;
  readonly repository_id: number;
  readonly tag: string;
  readonly manifest_id: number;
  /** The repository of the manifest that the tag points to; null if the manifest does not exist. */
  readonly manifest_repository_id: number | null;
}

export function everyTag(db: Db): AsyncGenerator<TagRow> {
  return paged((last) =>
    selectTags(db, { repository: last?.repository_id ?? 0, tag: last?.tag ?? '', limit: pageSize }),
  );
}

const selectUploads = prepare((db, p: Params<{ after: string; limit: number }>) =>
  uploads(db).where('uploads.id', '>', p('after')).orderBy('uploads.id').limit(p('limit')),
);

const selectUpload = prepare((db, p: Params<{ id: string }>) =>
  uploads(db).where('uploads.id', '=', p('id')),
);

function uploads(db: Db) {
  return db
    .selectFrom('uploads')
    .innerJoin('repositories', 'repositories.id', 'uploads.repository_id')
    .select([
      'uploads.id',
      'repositories.name',
      'uploads.size',
      'uploads.staged',
      'uploads.writer',
      'uploads.writer_until',
    ]);
}

export interface UploadSessionRow {
  readonly staged: string;
  readonly id: string;
  readonly name: string;
  readonly size: number;
  readonly writer: string | null;
  readonly writer_until: number;
}

export function everyUpload(db: Db): AsyncGenerator<UploadSessionRow> {
  return paged((last) => selectUploads(db, { after: last?.id ?? '', limit: pageSize }));
}

export function findUploadSession(db: Db, id: string): Promise<UploadSessionRow | undefined> {
  return first(selectUpload(db, { id }));
}

const selectReferencing = prepare((db, p: Params<{ digest: string; limit: number }>) =>
  db
    .selectFrom('manifest_references')
    .innerJoin('manifests', 'manifests.id', 'manifest_references.manifest_id')
    .innerJoin('repositories', 'repositories.id', 'manifests.repository_id')
    .leftJoin('tags', 'tags.manifest_id', 'manifests.id')
    .select(['repositories.name', 'manifests.digest', 'tags.name as tag'])
    .where('manifest_references.digest', '=', p('digest'))
    .limit(p('limit')),
);

/** A manifest, with one of its tags if it has any. */
export interface NamedManifest {
  readonly name: string;
  readonly digest: string;
  readonly tag: string | null;
}

/** Manifests of any repository that reference `digest`. */
export function listReferencingManifests(db: Db, digest: string, limit: number): Promise<NamedManifest[]> {
  return selectReferencing(db, { digest, limit });
}

const selectHolders = prepare((db, p: Params<{ digest: string; limit: number }>) =>
  db
    .selectFrom('repository_blobs')
    .innerJoin('repositories', 'repositories.id', 'repository_blobs.repository_id')
    .select('repositories.name')
    .where('digest', '=', p('digest'))
    .limit(p('limit')),
);

/** Repositories that hold the blob. */
export async function listHolders(db: Db, digest: string, limit: number): Promise<string[]> {
  return (await selectHolders(db, { digest, limit })).map((row) => row.name);
}

const selectManifestTags = prepare((db, p: Params<{ manifest: number; limit: number }>) =>
  db.selectFrom('tags').select('name').where('manifest_id', '=', p('manifest')).limit(p('limit')),
);

export async function listTagsOn(db: Db, manifest: number, limit: number): Promise<string[]> {
  return (await selectManifestTags(db, { manifest, limit })).map((row) => row.name);
}
