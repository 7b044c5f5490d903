import type { Expression } from 'kysely';
import type { Digest } from '../oci/digest.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Tag } from '../oci/reference.ts';
import { inJsonList } from './dialect.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';
import { sliceSize, untilDone } from './slices.ts';
import { isTagMove } from './tag-history.ts';

const select = prepare((db, p: Params<{ repository: number; tag: string }>) =>
  db
    .selectFrom('tags')
    .innerJoin('manifests', 'manifests.id', 'tags.manifest_id')
    .select(['manifests.id', 'manifests.digest'])
    .where('tags.repository_id', '=', p('repository'))
    .where('tags.name', '=', p('tag')),
);

/** The manifest that the tag points to. */
export function findTag(
  db: Db,
  repository: number,
  tag: Tag,
): Promise<{ id: number; digest: string } | undefined> {
  return first(select(db, { repository, tag }));
}

/** A tag, with the digest of its manifest and the time of its last move in milliseconds since 1970. */
export interface MovedTag {
  readonly name: string;
  readonly digest: string;
  readonly updated_at: number;
}

const selectMoved = prepare((db, p: Params<{ repository: number; tags: string }>) =>
  db
    .selectFrom('tags')
    .innerJoin('manifests', 'manifests.id', 'tags.manifest_id')
    .select(['tags.name', 'manifests.digest', 'tags.updated_at'])
    .where('tags.repository_id', '=', p('repository'))
    .where('tags.name', 'in', inJsonList(db, p('tags'))),
);

/** The existing ones of these tags, at most {@link sliceSize}. */
export function findTags(db: Db, repository: number, tags: readonly Tag[]): Promise<MovedTag[]> {
  return selectMoved(db, { repository, tags: JSON.stringify(tags) });
}

interface TagRow {
  readonly repository_id: number;
  readonly name: string;
  readonly manifest_id: number;
  readonly updated_at: number;
}

/** The query that points a tag to a manifest; `row` has the parameters. */
export function upsertTag(db: Db, row: { readonly [K in keyof TagRow]: Expression<TagRow[K]> }) {
  const { manifest_id, updated_at } = row;
  return db
    .insertInto('tags')
    .values(row)
    .onConflict((conflict) =>
      conflict.columns(['repository_id', 'name']).doUpdateSet({ manifest_id, updated_at }),
    );
}

const upsert = prepare((db, p: Params<{ repository: number; tag: string; manifest: number; now: number }>) =>
  upsertTag(db, {
    repository_id: p('repository'),
    name: p('tag'),
    manifest_id: p('manifest'),
    updated_at: p('now'),
  }),
);

export async function moveTag(
  db: Db,
  repository: number,
  tag: Tag,
  manifest: number,
  now: number,
): Promise<void> {
  await upsert(db, { repository, tag, manifest, now });
}

const deleteOne = prepare((db, p: Params<{ repository: number; tag: string }>) =>
  db
    .deleteFrom('tags')
    .where('repository_id', '=', p('repository'))
    .where('name', '=', p('tag'))
    .returning('name'),
);

/** Deletes the tag, not the manifest; false when it did not exist. */
export async function deleteTag(db: Db, repository: number, tag: Tag): Promise<boolean> {
  return (await deleteOne(db, { repository, tag })).length > 0;
}

const deleteOf = prepare((db, p: Params<{ manifest: number; limit: number }>) =>
  db
    .deleteFrom('tags')
    .where('manifest_id', '=', p('manifest'))
    .where('name', 'in', (where) =>
      where
        .selectFrom('tags as first')
        .select('first.name')
        .where('first.manifest_id', '=', p('manifest'))
        .limit(p('limit')),
    )
    .returning('name'),
);

/** Deletes every tag that points to the manifest. */
export async function deleteTagsOf(db: Db, manifest: number): Promise<void> {
  await untilDone(async () => (await deleteOf(db, { manifest, limit: sliceSize })).length);
}

/** A tag with the manifest that it points to; times in milliseconds since 1970. */
export interface TagWithManifest {
  readonly tag: Tag;
  /** The manifest's row id. */
  readonly id: number;
  readonly digest: Digest;
  readonly media_type: string;
  /** Time of the last push of the tag, even if it did not move. */
  readonly updated_at: number;
}

function tagsWithManifests(db: Db) {
  return db
    .selectFrom('tags')
    .innerJoin('manifests', 'manifests.id', 'tags.manifest_id')
    .select([
      'tags.name as tag',
      'manifests.id',
      'manifests.digest',
      'manifests.media_type',
      'tags.updated_at',
    ]);
}

interface TagPage {
  repository: number;
  after: string;
  limit: number;
}

const selectWithManifests = prepare((db, p: Params<TagPage>) =>
  tagsWithManifests(db)
    .where('tags.repository_id', '=', p('repository'))
    .where('tags.name', '>', p('after'))
    .orderBy('tags.name')
    .limit(p('limit')),
);

/** Tags of the repository after `after` in byte order, with their manifests, at most `limit`. */
export function listTagsWithManifests(
  db: Db,
  repository: number,
  after: string,
  limit: number,
): Promise<TagWithManifest[]> {
  return selectWithManifests(db, { repository, after, limit }) as Promise<TagWithManifest[]>;
}

const selectSomeWithManifests = prepare((db, p: Params<{ repository: number; tags: string }>) =>
  tagsWithManifests(db)
    .where('tags.repository_id', '=', p('repository'))
    .where('tags.name', 'in', inJsonList(db, p('tags'))),
);

/** The existing ones of these tags, with their manifests. */
export function findTagsWithManifests(
  db: Db,
  repository: number,
  tags: readonly Tag[],
): Promise<TagWithManifest[]> {
  return selectSomeWithManifests(db, { repository, tags: JSON.stringify(tags) }) as Promise<
    TagWithManifest[]
  >;
}

export interface TagWithMove extends TagWithManifest {
  /** Id of the change that moved the tag here, if it is still recorded. */
  readonly moved: number | null;
}

const selectWithMoves = prepare((db, p: Params<TagPage>) =>
  tagsWithManifests(db)
    .select((select) =>
      select
        .selectFrom('changes')
        .select(({ fn }) => fn.max('changes.id').as('last'))
        .whereRef('changes.repository_id', '=', 'tags.repository_id')
        .whereRef('changes.tag', '=', 'tags.name')
        .where(isTagMove)
        .as('moved'),
    )
    .where('tags.repository_id', '=', p('repository'))
    .where('tags.name', '>', p('after'))
    .orderBy('tags.name')
    .limit(p('limit')),
);

/** {@link listTagsWithManifests} with the last move of each tag. */
export function listTagsWithMoves(
  db: Db,
  repository: number,
  after: string,
  limit: number,
): Promise<TagWithMove[]> {
  return selectWithMoves(db, { repository, after, limit }) as Promise<TagWithMove[]>;
}

const selectPageOf = prepare((db, p: Params<{ manifest: number; after: string; limit: number }>) =>
  db
    .selectFrom('tags')
    .select('name')
    .where('manifest_id', '=', p('manifest'))
    .where('name', '>', p('after'))
    .orderBy('name')
    .limit(p('limit')),
);

/** Tags of the manifest after `after` in byte order, at most `limit`. */
export async function listTagsOf(db: Db, manifest: number, after: string, limit: number): Promise<string[]> {
  return (await selectPageOf(db, { manifest, after, limit })).map((row) => row.name);
}

const selectPage = prepare((db, p: Params<{ name: string; after: string; limit: number }>) =>
  db
    .selectFrom('tags')
    .select('name')
    // Not a join: PostgreSQL would read and sort all tags of the repository for one page.
    .where('repository_id', '=', (where) =>
      where.selectFrom('repositories').select('repositories.id').where('repositories.name', '=', p('name')),
    )
    .where('name', '>', p('after'))
    .orderBy('name')
    .limit(p('limit')),
);

/** Tags after `after` in byte order, at most `limit`. */
export async function listTags(
  db: Db,
  name: RepositoryName,
  after: string,
  limit: number,
): Promise<string[]> {
  return (await selectPage(db, { name, after, limit })).map((row) => row.name);
}
