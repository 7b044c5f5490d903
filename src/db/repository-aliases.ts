import { namespaceRange, type RepositoryName } from '../oci/name.ts';
import { inJsonList } from './dialect.ts';
import { type Db, type Params, prepare } from './prepare.ts';

/** A former name of a repository. */
export interface AliasRow {
  readonly name: RepositoryName;
  /** The repository's name now. */
  readonly repository: RepositoryName;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/** The name must have no alias and no repository. */
export async function insertAlias(
  db: Db,
  { name, repository, expiresAt }: { name: RepositoryName; repository: number; expiresAt: number },
  now: number,
): Promise<void> {
  const row = { name, repository_id: repository, created_at: now, expires_at: expiresAt };
  await db.insertInto('repository_aliases').values(row).execute();
}

const deleteByName = prepare((db, p: Params<{ name: string }>) =>
  db.deleteFrom('repository_aliases').where('name', '=', p('name')).returning('repository_id'),
);

/** Returns the id of the alias's repository, or `undefined` if there is no such alias. */
export async function deleteAlias(db: Db, name: RepositoryName): Promise<number | undefined> {
  return (await deleteByName(db, { name }))[0]?.repository_id;
}

/** Deletes all aliases in the namespace. */
export async function deleteAliasesBelow(db: Db, namespace: string): Promise<void> {
  const { low, high } = namespaceRange(namespace);
  await db.deleteFrom('repository_aliases').where('name', '>', low).where('name', '<', high).execute();
}

/** Unexpired aliases whose name comes after `after`, at most `limit`, in byte order. */
export function listAliases(db: Db, after: string, limit: number, now: number): Promise<AliasRow[]> {
  return db
    .selectFrom('repository_aliases')
    .innerJoin('repositories', 'repositories.id', 'repository_aliases.repository_id')
    .select([
      'repository_aliases.name',
      'repositories.name as repository',
      'repository_aliases.expires_at as expiresAt',
    ])
    .where('repository_aliases.name', '>', after)
    .where('repository_aliases.expires_at', '>', now)
    .where('repositories.trashed_at', 'is', null)
    .orderBy('repository_aliases.name')
    .limit(limit)
    .execute() as Promise<AliasRow[]>;
}

const selectExpired = prepare((db, p: Params<{ before: number; limit: number }>) =>
  db
    .selectFrom('repository_aliases')
    .select('name')
    .where('expires_at', '<=', p('before'))
    .orderBy('expires_at')
    .limit(p('limit')),
);

const deleteByNames = prepare((db, p: Params<{ names: string; before: number }>) =>
  db
    .deleteFrom('repository_aliases')
    .where('name', 'in', inJsonList(db, p('names')))
    // A repository may have been renamed again in the meantime.
    .where('expires_at', '<=', p('before')),
);

/** Deletes aliases that expired before a time, at most `limit`; returns how many. */
export async function deleteExpiredAliases(db: Db, before: number, limit: number): Promise<number> {
  const names = (await selectExpired(db, { before, limit })).map(({ name }) => name);
  if (names.length > 0) await deleteByNames(db, { names: JSON.stringify(names), before });
  return names.length;
}
