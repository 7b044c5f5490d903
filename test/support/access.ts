// Inserts accounts and their data into a database.
import type { Insertable } from 'kysely';
import type { Database } from '../../src/db/database.ts';
import type { Schema } from '../../src/db/schema.ts';

/** Inserts a row into a table with generated ids; returns the id. */
export async function insertRow<T extends 'accounts' | 'teams' | 'grants' | 'access_tokens' | 'trusts'>(
  database: Database,
  table: T,
  row: Insertable<Schema[T]>,
): Promise<number> {
  return database.transaction(async (db) => {
    const inserted = await db
      .insertInto(table)
      .values(row as never)
      .returning('id')
      .executeTakeFirstOrThrow();
    return (inserted as { id: number }).id;
  });
}

/** Inserts a row into a table without ids. */
export async function insertLink<T extends 'users' | 'members' | 'team_members'>(
  database: Database,
  table: T,
  row: Insertable<Schema[T]>,
): Promise<void> {
  await database.transaction((db) =>
    db
      .insertInto(table)
      .values(row as never)
      .execute(),
  );
}

/** Inserts a user whose password was set at 100; returns the account's id. */
export async function makeUser(
  database: Database,
  name: string,
  { administrator = 0 }: { administrator?: number } = {},
): Promise<number> {
  const id = await insertRow(database, 'accounts', { name, kind: 'user', created_at: 1 });
  await insertLink(database, 'users', {
    account_id: id,
    password_changed_at: 100,
    administrator,
    token_only: 0,
  });
  return id;
}

export function makeOrganisation(database: Database, name: string): Promise<number> {
  return insertRow(database, 'accounts', { name, kind: 'organisation', created_at: 1 });
}

export function makeRobot(database: Database, name: string, owner: number): Promise<number> {
  return insertRow(database, 'accounts', { name, kind: 'robot', owner_id: owner, created_at: 1 });
}

/** Inserts an access token that does not expire; returns its id. */
export function makeToken(
  database: Database,
  account: number,
  given: Partial<Insertable<Schema['access_tokens']>> = {},
): Promise<number> {
  const hash = `hash of ${account} ${JSON.stringify(given)}`;
  return insertRow(database, 'access_tokens', {
    account_id: account,
    name: 'ci',
    hash,
    scopes: '',
    created_at: 1,
    ...given,
  });
}
