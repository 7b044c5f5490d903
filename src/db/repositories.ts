import type { Namespace, RepositoryName } from '../oci/name.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';

const selectByName = prepare((db, p: Params<{ name: string }>) =>
  db.selectFrom('repositories').select('id').where('name', '=', p('name')),
);

const insert = prepare((db, p: Params<{ name: string; now: number }>) =>
  db
    .insertInto('repositories')
    .values({ name: p('name'), created_at: p('now') })
    .onConflict((conflict) => conflict.column('name').doNothing()),
);

/** The repository's id, or `undefined` when nothing was ever pushed to that name. */
export async function findRepository(db: Db, name: RepositoryName): Promise<number | undefined> {
  return (await first(selectByName(db, { name })))?.id;
}

export async function findOrCreateRepository(db: Db, name: RepositoryName, now: number): Promise<number> {
  const found = await findRepository(db, name);
  if (found !== undefined) return found;
  await insert(db, { name, now });
  return (await findRepository(db, name)) as number;
}

const selectNames = prepare((db, p: Params<{ after: string; limit: number }>) =>
  db
    .selectFrom('repositories')
    .select('name')
    .where('name', '>', p('after'))
    // A repository shows once it has a manifest: unfinished uploads and emptied repositories are nobody's to list.
    .where((where) =>
      where.exists(
        where
          .selectFrom('manifests')
          .select('manifests.id')
          .whereRef('manifests.repository_id', '=', 'repositories.id'),
      ),
    )
    .orderBy('name')
    .limit(p('limit')),
);

/** Names after `after` in byte order, at most `limit`, of the repositories that hold a manifest. */
export async function listRepositoryNames(db: Db, after: string, limit: number): Promise<string[]> {
  return (await selectNames(db, { after, limit })).map((row) => row.name);
}

const ofNamespace = (db: Db, p: Params<{ from: string; to: string }>) =>
  db.selectFrom('repositories').where('name', '>', p('from')).where('name', '<', p('to'));

const selectOfNamespace = prepare((db, p: Params<{ from: string; to: string; limit: number }>) =>
  ofNamespace(db, p).select('name').orderBy('name').limit(p('limit')),
);

const countOfNamespace = prepare((db, p: Params<{ from: string; to: string }>) =>
  ofNamespace(db, p).select((select) => select.fn.countAll<number>().as('count')),
);

/** How many repositories a namespace has, emptied ones too, and the first of them in byte order, at most `limit`. */
export async function repositoriesOf(
  db: Db,
  namespace: Namespace,
  limit: number,
): Promise<{ count: number; names: string[] }> {
  // '0' comes right after '/'.
  const range = { from: `${namespace}/`, to: `${namespace}0` };
  const count = Number((await first(countOfNamespace(db, range)))?.count);
  const rows = await selectOfNamespace(db, { ...range, limit });
  return { count, names: rows.map((row) => row.name) };
}
