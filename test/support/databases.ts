import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Database } from '../../src/db/database.ts';
import { findOrCreateRepository } from '../../src/db/repositories.ts';
import { openSqlite } from '../../src/db/sqlite.ts';
import type { Digest } from '../../src/oci/digest.ts';
import { parseName, type RepositoryName } from '../../src/oci/name.ts';
import { cleanUp } from './cleanup.ts';
import { temporaryDirectory } from './temporary-directory.ts';

export interface TestDialect {
  readonly name: string;
  /** An empty, migrated database that goes with the test. */
  open(t: TestContext): Promise<Database>;
}

/** Every database that the tests of `src/db` run on. */
export const dialects: readonly TestDialect[] = [
  {
    name: 'SQLite',
    async open(t) {
      const database = await openSqlite(join(await temporaryDirectory(t), 'berth.db'));
      cleanUp(t, () => database.close());
      return database;
    },
  },
];

export const repositoryName: RepositoryName = parseName('library/app');

/** A repository of that name; its id. */
export function makeRepository(database: Database, name: RepositoryName = repositoryName): Promise<number> {
  return database.transaction((db) => findOrCreateRepository(db, name, 1));
}

/** Digests that sort as their numbers do. */
export function digestNumber(number: number): Digest {
  return `sha256:${number.toString(16).padStart(64, '0')}` as Digest;
}
