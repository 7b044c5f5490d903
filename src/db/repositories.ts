import { type ExpressionBuilder, sql } from 'kysely';
import { type Namespace, namespaceOf, namespaceRange, type RepositoryName } from '../oci/name.ts';
import { inJsonIds, jsonRows, lockAgainstDeletion } from './dialect.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';
import { deleteAlias } from './repository-aliases.ts';
import type { Schema, Visibility } from './schema.ts';
import { sliceSize, untilDone } from './slices.ts';

/** The fields of a repository that rights depend on. */
export interface RepositoryRow {
  readonly id: number;
  readonly name: RepositoryName;
  readonly visibility: Visibility;
}

const selectByName = prepare((db, p: Params<{ name: string }>) =>
  db.selectFrom('repositories').select('id').where('name', '=', p('name')),
);

const selectLocked = prepare((db, p: Params<{ name: string }>) =>
  lockAgainstDeletion(db, db.selectFrom('repositories').select('id').where('name', '=', p('name'))),
);

/** {@link findRepository}, and prevents its deletion and renaming until the transaction ends, which would hide what is added to it. */
export async function lockRepositoryShared(db: Db, name: RepositoryName): Promise<number | undefined> {
  return (await first(selectLocked(db, { name })))?.id;
}

const selectRow = prepare((db, p: Params<{ name: string }>) =>
  db.selectFrom('repositories').select(['id', 'name', 'visibility']).where('name', '=', p('name')),
);

const insert = prepare((db, p: Params<{ name: string; namespace: string; now: number }>) =>
  db
    .insertInto('repositories')
    .values((value) => ({
      name: p('name'),
      created_at: p('now'),
      visibility: value.fn.coalesce(
        value.selectFrom('accounts').select('default_visibility').where('accounts.name', '=', p('namespace')),
        sql<Visibility>`'private'`,
      ),
    }))
    .onConflict((conflict) => conflict.column('name').doNothing()),
);

/** The repository's id, or `undefined` if it does not exist. */
export async function findRepository(db: Db, name: RepositoryName): Promise<number | undefined> {
  return (await first(selectByName(db, { name })))?.id;
}

/** The repository with its visibility. */
export function findRepositoryRow(db: Db, name: RepositoryName): Promise<RepositoryRow | undefined> {
  return first(selectRow(db, { name })) as Promise<RepositoryRow | undefined>;
}

const selectNames = prepare((db, p: Params<{ ids: string }>) =>
  db
    .selectFrom('repositories')
    .select(['id', 'name'])
    .where('id', 'in', inJsonIds(db, p('ids'))),
);

/** The names of these repositories. */
export async function repositoryNames(db: Db, ids: readonly number[]): Promise<Map<number, string>> {
  const rows = await selectNames(db, { ids: JSON.stringify(ids) });
  return new Map(rows.map(({ id, name }) => [id, name]));
}

/**
 * The repository's id, with the lock of {@link lockRepositoryShared}. A new repository has the default visibility of its namespace; it is
 * private if the namespace has no owner. It replaces an alias with its name.
 */
export async function findOrCreateRepository(db: Db, name: RepositoryName, now: number): Promise<number> {
  for (;;) {
    const found = await lockRepositoryShared(db, name);
    if (found !== undefined) return found;
    await insert(db, { name, namespace: namespaceOf(name) ?? '', now });
    await deleteAlias(db, name);
  }
}

const updateName = prepare(
  (db, p: Params<{ id: number; from: string; to: string; trashedAt: number | null }>) =>
    db
      .updateTable('repositories')
      .set({ name: p('to'), trashed_at: p('trashedAt') })
      .where('id', '=', p('id'))
      .where('name', '=', p('from'))
      .returning('id'),
);

/**
 * Renames a repository; no other may have the new name. False if it does not have the name `from`.
 * @param trashedAt when it was deleted, if the new name is a hidden one (see `trash.ts`)
 */
export async function setRepositoryName(
  db: Db,
  id: number,
  from: RepositoryName,
  to: RepositoryName,
  trashedAt: number | null = null,
): Promise<boolean> {
  return (await updateName(db, { id, from, to, trashedAt })).length > 0;
}

export async function setVisibility(db: Db, id: number, visibility: Visibility): Promise<void> {
  await db.updateTable('repositories').set({ visibility }).where('id', '=', id).execute();
}

export async function deleteUploadsOf(db: Db, repository: number): Promise<void> {
  await db.deleteFrom('uploads').where('repository_id', '=', repository).execute();
}

const deleteSomeTags = prepare((db, p: Params<{ id: number; limit: number }>) =>
  db
    .deleteFrom('tags')
    .where('repository_id', '=', p('id'))
    .where('name', 'in', (some) =>
      some
        .selectFrom('tags as first')
        .select('first.name')
        .where('first.repository_id', '=', p('id'))
        .limit(p('limit')),
    )
    .returning('name'),
);

const deleteSomeLinks = prepare((db, p: Params<{ id: number; limit: number }>) =>
  db
    .deleteFrom('repository_blobs')
    .where('repository_id', '=', p('id'))
    .where('digest', 'in', (some) =>
      some
        .selectFrom('repository_blobs as first')
        .select('first.digest')
        .where('first.repository_id', '=', p('id'))
        .limit(p('limit')),
    )
    .returning('digest'),
);

/** Deletes the rows of a repository, which must be locked; false when it was deleted before. */
export async function deleteRepositoryRows(db: Db, id: number): Promise<boolean> {
  // Each row also changes the usage of the repository and its namespace.
  await untilDone(async () => (await deleteSomeTags(db, { id, limit: sliceSize })).length);
  for (const table of ['manifests', 'uploads', 'trash'] as const) {
    await db.deleteFrom(table).where('repository_id', '=', id).execute();
  }
  await untilDone(async () => (await deleteSomeLinks(db, { id, limit: sliceSize })).length);
  return (await db.deleteFrom('repositories').where('id', '=', id).returning('id').execute()).length > 0;
}

function selectOfNamespace(db: Db, namespace: Namespace) {
  const { low, high } = namespaceRange(namespace);
  return db
    .selectFrom('repositories')
    .where('repositories.name', '>', low)
    .where('repositories.name', '<', high);
}

function isInUse({ exists, or, selectFrom }: ExpressionBuilder<Schema, 'repositories'>) {
  const holding = (['manifests', 'uploads'] as const).map((table) =>
    exists(
      selectFrom(table).select('repository_id').whereRef(`${table}.repository_id`, '=', 'repositories.id'),
    ),
  );
  const hidden = selectFrom('repositories as hidden')
    .innerJoin('manifests', 'manifests.repository_id', 'hidden.id')
    .select('hidden.id')
    .whereRef('hidden.trash_of', '=', 'repositories.id');
  return or([...holding, exists(hidden)]);
}

const selectFree = prepare((db, p: Params<{ namespaces: string; user: number }>) => {
  const given = jsonRows(db, p('namespaces'), { namespace: 'text', low: 'text', high: 'text' });
  return db
    .selectFrom(
      sql<{ namespace: Namespace; low: string; high: string }>`(select * from ${given})`.as('given'),
    )
    .select('given.namespace')
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('accounts').select('id').whereRef('accounts.name', '=', 'given.namespace'))),
    )
    .where(({ not, exists, selectFrom }) => {
      const known = selectFrom('identities')
        .select('account_id')
        .whereRef('identities.name', '=', 'given.namespace')
        .where('identities.account_id', '<>', p('user'));
      return not(exists(known));
    })
    .where(({ not, exists, selectFrom }) => {
      const held = selectFrom('repositories')
        .innerJoin('manifests', 'manifests.repository_id', 'repositories.id')
        .select('manifests.id')
        .whereRef('repositories.name', '>', 'given.low')
        .whereRef('repositories.name', '<', 'given.high');
      return not(exists(held));
    });
});

/**
 * The namespaces that the user may claim: no account has the name, no identity of another user has it at the sign-on provider, and
 * the namespace contains no manifest. Open uploads do not matter.
 */
export async function freeNamespaces(
  db: Db,
  namespaces: readonly Namespace[],
  user: number,
): Promise<Set<Namespace>> {
  const given = namespaces.map((namespace) => ({ namespace, ...namespaceRange(namespace) }));
  const rows = await selectFree(db, { namespaces: JSON.stringify(given), user });
  return new Set(rows.map((row) => row.namespace));
}

/** Whether any repository of the namespace has a manifest. */
export async function holdsManifests(db: Db, namespace: Namespace): Promise<boolean> {
  const held = await selectOfNamespace(db, namespace)
    .innerJoin('manifests', 'manifests.repository_id', 'repositories.id')
    .select('manifests.id')
    .limit(1)
    .executeTakeFirst();
  return held !== undefined;
}

/**
 * The namespace's repositories with manifests, in the trash too, or open uploads: their number, and the first `limit` by name. A deleted
 * repository has its hidden name.
 */
export async function repositoriesInUse(
  db: Db,
  namespace: Namespace,
  limit: number,
): Promise<{ count: number; names: string[] }> {
  const inUse = selectOfNamespace(db, namespace).where('repositories.trash_of', 'is', null).where(isInUse);
  const { count } = await inUse
    .select((select) => select.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  const rows = await inUse.select('repositories.name').orderBy('repositories.name').limit(limit).execute();
  return { count: Number(count), names: rows.map(({ name }) => name) };
}

/** Ids of the namespace's repositories without manifests, in the trash too, and uploads; only `id`, if given. */
export async function listEmptyRepositories(db: Db, namespace: Namespace, id?: number): Promise<number[]> {
  let empty = selectOfNamespace(db, namespace)
    .where((where) => where.not(isInUse(where)))
    .select('repositories.id');
  if (id !== undefined) empty = empty.where('repositories.id', '=', id);
  return (await empty.execute()).map((row) => row.id);
}
