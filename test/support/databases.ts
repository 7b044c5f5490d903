import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type ActingDatabase, actAs } from '../../src/administration/change.ts';
import { insertAccount } from '../../src/db/accounts.ts';
import { system } from '../../src/db/changes.ts';
import type { Database } from '../../src/db/database.ts';
import type { Inspection } from '../../src/db/inspection.ts';
import { ensureManifest } from '../../src/db/manifests.ts';
import { inspectPostgres } from '../../src/db/postgres/inspect.ts';
import { openPostgres } from '../../src/db/postgres/postgres.ts';
import { findOrCreateRepository } from '../../src/db/repositories.ts';
import { inspectSqlite } from '../../src/db/sqlite/inspect.ts';
import { openSqlite } from '../../src/db/sqlite/sqlite.ts';
import { insertUser } from '../../src/db/users.ts';
import type { Digest } from '../../src/oci/digest.ts';
import type { AccountName, Namespace, RepositoryName } from '../../src/oci/name.ts';
import { parseName } from '../../src/oci/name.ts';
import { cleanUp } from './cleanup.ts';
import { whyUnusable } from './needs.ts';
import { openMigratedPostgres } from './postgres.ts';
import { writeMigratedSqlite } from './sqlite-template.ts';
import { temporaryDirectory } from './temporary-directory.ts';

export interface TestDialect {
  readonly name: string;
  /** Opens an empty, migrated database for the duration of the test; changes are recorded for `system`. */
  open(t: TestContext): Promise<ActingDatabase>;
  /** {@link open}, with a second, read-only connection of another kind (see `db/inspection.ts`). */
  openInspected(t: TestContext): Promise<InspectedDatabase>;
}

export interface InspectedDatabase {
  readonly database: ActingDatabase;
  readonly inspection: Inspection;
}

const sqlite: TestDialect = {
  name: 'SQLite',
  async open(t) {
    return openFile(t, await migratedFile(t));
  },
  async openInspected(t) {
    const path = await migratedFile(t);
    return inspected(t, await openFile(t, path), await inspectSqlite(path));
  },
};

async function migratedFile(t: TestContext): Promise<string> {
  const path = join(await temporaryDirectory(t), 'berth.db');
  await writeMigratedSqlite(path);
  return path;
}

async function openFile(t: TestContext, path: string): Promise<ActingDatabase> {
  const database = await openSqlite(path, { checkpoints: false });
  cleanUp(t, () => database.close());
  return actAs(database, system);
}

function inspected(t: TestContext, database: ActingDatabase, inspection: Inspection): InspectedDatabase {
  cleanUp(t, () => inspection.close());
  return { database, inspection };
}

const postgres: TestDialect = {
  name: 'PostgreSQL',
  async open(t) {
    return openReplica(t, await openMigratedPostgres(t));
  },
  async openInspected(t) {
    const url = await openMigratedPostgres(t);
    return inspected(t, await openReplica(t, url), await inspectPostgres(url));
  },
};

/** Opens a PostgreSQL database as one process does; some tests need two. */
export async function openReplica(t: TestContext, url: string, poolSize = 10): Promise<ActingDatabase> {
  const database = await openPostgres({ url, poolSize });
  cleanUp(t, () => database.close());
  return actAs(database, system);
}

const withoutPostgres = whyUnusable('postgres');
if (withoutPostgres !== undefined) test('PostgreSQL', { skip: withoutPostgres });

/** Environment variable that limits the tests to one dialect, for mutation tests. */
const only = process.env.TEST_DIALECT;

/** The databases available on this machine. */
export const dialects: readonly TestDialect[] = (
  withoutPostgres === undefined ? [sqlite, postgres] : [sqlite]
).filter(({ name }) => only === undefined || name === only);

export const repositoryName: RepositoryName = parseName('library/app');

/** Creates a repository; returns its id. */
export function makeRepository(database: Database, name: RepositoryName = repositoryName): Promise<number> {
  return database.transaction((db) => findOrCreateRepository(db, name, 1));
}

/** Creates a user without a password or administrator rights; returns its id. */
export function makeUser(database: Database, name: string): Promise<number> {
  return database.transaction(async (db) => {
    const id = (await insertAccount(db, { name: name as Namespace, kind: 'user' }, 1)) as number;
    await insertUser(db, id, { mail: null, password: null, administrator: false, tokenOnly: false }, 1);
    return id;
  });
}

/** Creates an organisation; returns its id. */
export function makeOrganisation(database: Database, name: string): Promise<number> {
  const account = { name: name as AccountName, kind: 'organisation' } as const;
  return database.transaction(async (db) => (await insertAccount(db, account, 1)) as number);
}

/** A digest that sorts by its number. */
export function digestNumber(number: number): Digest {
  return `sha256:${number.toString(16).padStart(64, '0')}` as Digest;
}

/** Inserts a manifest that the repository does not hold yet; returns its id. */
export async function insertNewManifest(...given: Parameters<typeof ensureManifest>): Promise<number> {
  return (await ensureManifest(...given)).id;
}
