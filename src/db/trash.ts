// The trash: rows of what was deleted, and the hidden repositories that contain it. A deleted repository is renamed; deleted manifests
// move to a hidden repository of their repository. No name that a client can send finds them (see `oci/hidden-name.ts`).
import { type ExpressionBuilder, sql } from 'kysely';
import type { Digest } from '../oci/digest.ts';
import { deletedName, hiddenRange, trashName } from '../oci/hidden-name.ts';
import { type Namespace, namespaceRange, type RepositoryName } from '../oci/name.ts';
import type { Tag } from '../oci/reference.ts';
import { inJsonIds } from './dialect.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';
import { setRepositoryName } from './repositories.ts';
import type { Schema, TrashKind } from './schema.ts';
import { sliceSize, untilDone } from './slices.ts';

const selectHidden = prepare((db, p: Params<{ repository: number }>) =>
  db.selectFrom('repositories').select('id').where('trash_of', '=', p('repository')),
);

/** The hidden repository with the deleted manifests of this one, if any was deleted yet. */
export async function findHidden(db: Db, repository: number): Promise<number | undefined> {
  return (await first(selectHidden(db, { repository })))?.id;
}

const insertHidden = prepare((db, p: Params<{ repository: number; name: string; now: number }>) =>
  db
    .insertInto('repositories')
    .values({ name: p('name'), created_at: p('now'), trashed_at: p('now'), trash_of: p('repository') })
    .onConflict((conflict) => conflict.column('name').doNothing()),
);

export async function findOrCreateHidden(
  db: Db,
  repository: number,
  name: RepositoryName,
  now: number,
): Promise<number> {
  const found = await findHidden(db, repository);
  if (found !== undefined) return found;
  await insertHidden(db, { repository, name: trashName(name, repository), now });
  return (await findHidden(db, repository)) as number;
}

const updateHiddenName = prepare((db, p: Params<{ repository: number; name: string }>) =>
  db
    .updateTable('repositories')
    .set({ name: p('name') })
    .where('trash_of', '=', p('repository')),
);

/** Hides a deleted repository, which must be locked; false if it does not have this name any more. */
export function hideRepository(db: Db, id: number, name: RepositoryName, now: number): Promise<boolean> {
  return setRepositoryName(db, id, name, deletedName(name, id), now);
}

/** Gives a deleted repository the free name `to`; false if it is not hidden any more. `name` is the one before its deletion. */
export async function unhideRepository(
  db: Db,
  id: number,
  name: RepositoryName,
  to: RepositoryName,
): Promise<boolean> {
  if (!(await setRepositoryName(db, id, deletedName(name, id), to))) return false;
  await renameHidden(db, id, to);
  return true;
}

/** Renames the hidden repository of one that gets the name `name`, so that it stays in the same namespace. */
export async function renameHidden(db: Db, repository: number, name: RepositoryName): Promise<void> {
  await updateHiddenName(db, { repository, name: trashName(name, repository) });
}

interface Deleted {
  repository: number;
  now: number;
  actor: string;
}

const insertRow = prepare(
  (db, p: Params<Deleted & { kind: TrashKind; tag: string | null; digest: string | null }>) =>
    db.insertInto('trash').values({
      repository_id: p('repository'),
      kind: p('kind'),
      tag: p('tag'),
      digest: p('digest'),
      with_manifest: sql.lit(0),
      deleted_at: p('now'),
      actor: p('actor'),
    }),
);

/** Records the deletion of a tag, of a manifest (`tag` null), or of the repository itself (both null). */
export async function insertTrash(
  db: Db,
  deleted: Deleted & { readonly kind: TrashKind; readonly tag: Tag | null; readonly digest: Digest | null },
): Promise<void> {
  await insertRow(db, deleted);
}

const insertTags = prepare(
  (
    db,
    p: Params<
      Omit<Deleted, 'repository'> & { manifest: number; digest: string; after: string; limit: number }
    >,
  ) =>
    db
      .insertInto('trash')
      .columns(['repository_id', 'kind', 'tag', 'digest', 'with_manifest', 'deleted_at', 'actor'])
      .expression(
        db
          .selectFrom('tags')
          .select([
            'repository_id',
            sql.lit<TrashKind>('tag').as('kind'),
            'name as tag',
            sql<string>`cast(${p('digest')} as text)`.as('digest'),
            sql.lit(1).as('with_manifest'),
            sql<number>`cast(${p('now')} as bigint)`.as('deleted_at'),
            sql<string>`cast(${p('actor')} as text)`.as('actor'),
          ])
          .where('manifest_id', '=', p('manifest'))
          .where('name', '>', p('after'))
          .orderBy('name')
          .limit(p('limit')),
      )
      .returning('tag'),
);

/** Records the deletion of all tags of a manifest that is deleted. Must run before they are deleted. */
export async function insertTrashedTags(
  db: Db,
  manifest: number,
  deleted: Omit<Deleted, 'repository'> & { readonly digest: Digest },
): Promise<void> {
  let after = '';
  await untilDone(async () => {
    const inserted = await insertTags(db, { ...deleted, manifest, after, limit: sliceSize });
    for (const { tag } of inserted) if (tag !== null && tag > after) after = tag;
    return inserted.length;
  });
}

/** A row of the trash with the name of its repository; times in milliseconds since 1970. */
export interface TrashRow {
  readonly id: number;
  readonly repository_id: number;
  /** Hidden if the repository itself is deleted. */
  readonly name: string;
  readonly kind: TrashKind;
  readonly tag: Tag | null;
  readonly digest: Digest | null;
  readonly deleted_at: number;
  readonly actor: string;
}

const columns = [
  'trash.id',
  'trash.repository_id',
  'repositories.name',
  'trash.kind',
  'trash.tag',
  'trash.digest',
  'trash.deleted_at',
  'trash.actor',
] as const;

interface Names {
  name: string;
  hiddenLow: string;
  hiddenHigh: string;
  low: string;
  high: string;
}

/** Everything of a repository, deleted or not, and of the namespace with the same name; `''`: everything. */
function namesOf(name: RepositoryName | undefined): Names {
  if (name === undefined) return { name: '', hiddenLow: '', hiddenHigh: '', low: '', high: '~' };
  const hidden = hiddenRange(name);
  return {
    name,
    hiddenLow: hidden.low,
    hiddenHigh: hidden.high,
    ...namespaceRange(name as string as Namespace),
  };
}

function isNamed(p: Params<Names>) {
  return ({ and, eb, or }: ExpressionBuilder<Schema, 'repositories'>) => {
    const between = (low: 'hiddenLow' | 'low', high: 'hiddenHigh' | 'high') =>
      and([eb('repositories.name', '>', p(low)), eb('repositories.name', '<', p(high))]);
    return or([
      eb('repositories.name', '=', p('name')),
      between('hiddenLow', 'hiddenHigh'),
      between('low', 'high'),
    ]);
  };
}

const selectNewest = prepare((db, p: Params<Names & { before: number; limit: number }>) =>
  db
    .selectFrom('trash')
    .innerJoin('repositories', 'repositories.id', 'trash.repository_id')
    .select(columns)
    .where(isNamed(p))
    .where('trash.id', '<', p('before'))
    .orderBy('trash.id', 'desc')
    .limit(p('limit')),
);

/**
 * What was deleted, newest first, at most `limit` rows with ids below `before`.
 * @param name a repository or a namespace; `undefined`: all
 */
export function listTrash(
  db: Db,
  name: RepositoryName | undefined,
  { before, limit }: { readonly before: number; readonly limit: number },
): Promise<TrashRow[]> {
  return selectNewest(db, { ...namesOf(name), before, limit }) as Promise<TrashRow[]>;
}

const selectOld = prepare(
  (db, p: Params<Names & { before: number; at: number; id: number; limit: number }>) =>
    db
      .selectFrom('trash')
      .innerJoin('repositories', 'repositories.id', 'trash.repository_id')
      .select(columns)
      .where(isNamed(p))
      .where('trash.deleted_at', '<', p('before'))
      .where(sql<boolean>`(trash.deleted_at, trash.id) > (${p('at')}, ${p('id')})`)
      .orderBy('trash.deleted_at')
      .orderBy('trash.id')
      .limit(p('limit')),
);

/** What was deleted before `before`, oldest first, after a row. @param name as for {@link listTrash} */
export function listOldTrash(
  db: Db,
  name: RepositoryName | undefined,
  before: number,
  after: Pick<TrashRow, 'deleted_at' | 'id'> | undefined,
  limit: number,
): Promise<TrashRow[]> {
  const { deleted_at: at, id } = after ?? { deleted_at: Number.MIN_SAFE_INTEGER, id: 0 };
  return selectOld(db, { ...namesOf(name), before, at, id, limit }) as Promise<TrashRow[]>;
}

const selectDeleted = prepare((db, p: Params<{ low: string; high: string }>) =>
  db
    .selectFrom('repositories')
    .select(['id', 'name'])
    .where('name', '>', p('low'))
    .where('name', '<', p('high'))
    .where('trash_of', 'is', null)
    .orderBy('trashed_at', 'desc')
    .orderBy('id', 'desc')
    .limit(1),
);

/** The last deleted repository that had this name. */
export async function findDeletedRepository(db: Db, name: RepositoryName): Promise<number | undefined> {
  return (await first(selectDeleted(db, { ...hiddenRange(name) })))?.id;
}

const selectTag = prepare((db, p: Params<{ repository: number; tag: string }>) =>
  db
    .selectFrom('trash')
    .select(['id', 'digest'])
    .where('repository_id', '=', p('repository'))
    .where('tag', '=', p('tag'))
    .orderBy('id', 'desc')
    .limit(1),
);

/** A deleted tag. */
export interface TrashedTag {
  readonly id: number;
  readonly tag: Tag;
  readonly digest: Digest;
}

/** The last deletion of the tag. */
export async function findTrashedTag(db: Db, repository: number, tag: Tag): Promise<TrashedTag | undefined> {
  const row = await first(selectTag(db, { repository, tag }));
  return row && { id: row.id, tag, digest: row.digest as Digest };
}

const selectTagsOf = prepare(
  (db, p: Params<{ repository: number; digest: string; after: string; limit: number }>) =>
    db
      .selectFrom('trash')
      .select(['id', 'tag', 'digest'])
      .where('repository_id', '=', p('repository'))
      .where('digest', '=', p('digest'))
      .where('tag', '>', p('after'))
      .where('with_manifest', '=', sql.lit(1))
      .orderBy('tag')
      .limit(p('limit')),
);

/** Tags after `after` in byte order that were deleted together with the manifest, at most `limit`; a tag may occur twice. */
export function listTrashedTags(
  db: Db,
  repository: number,
  digest: Digest,
  after: string,
  limit: number,
): Promise<TrashedTag[]> {
  return selectTagsOf(db, { repository, digest, after, limit }) as Promise<TrashedTag[]>;
}

const deleteRows = prepare((db, p: Params<{ ids: string }>) =>
  db
    .deleteFrom('trash')
    .where('id', 'in', inJsonIds(db, p('ids')))
    .returning('id'),
);

/** Returns the number of those that existed. */
export async function deleteTrash(db: Db, ids: readonly number[]): Promise<number> {
  return (await deleteRows(db, { ids: JSON.stringify(ids) })).length;
}

const deleteManifestRows = prepare((db, p: Params<{ repository: number; digest: string; before: number }>) =>
  db
    .deleteFrom('trash')
    .where('repository_id', '=', p('repository'))
    .where('digest', '=', p('digest'))
    .where('tag', 'is', null)
    .where('deleted_at', '<', p('before'))
    .returning('id'),
);

const deleteTagRows = prepare(
  (db, p: Params<{ repository: number; digest: string; before: number; limit: number }>) =>
    db
      .deleteFrom('trash')
      .where('id', 'in', (where) =>
        where
          .selectFrom('trash as old')
          .select('old.id')
          .where('old.repository_id', '=', p('repository'))
          .where('old.digest', '=', p('digest'))
          .where('old.with_manifest', '=', sql.lit(1))
          .where('old.deleted_at', '<', p('before'))
          .limit(p('limit')),
      )
      .returning('id'),
);

/** Removes the entries of tags that were deleted before `before` together with the manifest; returns their number. */
export async function deleteTrashedTags(
  db: Db,
  repository: number,
  digest: Digest,
  before: number,
): Promise<number> {
  let deleted = 0;
  await untilDone(async () => {
    const rows = await deleteTagRows(db, { repository, digest, before, limit: sliceSize });
    deleted += rows.length;
    return rows.length;
  });
  return deleted;
}

/** Removes the entry of a manifest if it was deleted before `before`, or at any time; false if there is none. */
export async function deleteTrashedManifest(
  db: Db,
  repository: number,
  digest: Digest,
  before: number = Number.MAX_SAFE_INTEGER,
): Promise<boolean> {
  return (await deleteManifestRows(db, { repository, digest, before })).length > 0;
}

const deleteRepositoryRow = prepare((db, p: Params<{ repository: number }>) =>
  db
    .deleteFrom('trash')
    .where('repository_id', '=', p('repository'))
    .where('kind', '=', sql.lit<TrashKind>('repository')),
);

/** Removes the entry of a deleted repository. */
export async function deleteRepositoryTrash(db: Db, repository: number): Promise<void> {
  await deleteRepositoryRow(db, { repository });
}

const selectTrashedAt = prepare((db, p: Params<{ id: number }>) =>
  db.selectFrom('repositories').select('trashed_at').where('id', '=', p('id')),
);

/** Whether the repository exists and is hidden. */
export async function isHidden(db: Db, id: number): Promise<boolean> {
  return typeof (await first(selectTrashedAt(db, { id })))?.trashed_at === 'number';
}
