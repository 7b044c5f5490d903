import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';
import { EmptyDatabase, SchemaMismatch } from './database.ts';
import { migrate, requireCurrentSchema } from './migrate.ts';
import * as registry from './migrations/0001-registry.ts';
import type { Schema } from './schema.ts';
import { SqliteConnection, sqliteDialect } from './sqlite/dialect.ts';

function memory(): { db: Kysely<Schema>; tables: () => string[] } {
  const database = new DatabaseSync(':memory:');
  const connection = new SqliteConnection(database);
  return {
    db: new Kysely<Schema>({ dialect: sqliteDialect(connection, { busyTimeout: 0 }) }),
    tables: () =>
      connection
        .all("select name from sqlite_master where type = 'table' and name not like '%kysely%'", [])
        .map((row) => (row as { name: string }).name),
  };
}

const second: Migration = { up: (db) => sql`create table second (id integer)`.execute(db).then(() => {}) };
const failing: Migration = {
  up: async (db) => {
    await sql`create table half_way (id integer)`.execute(db);
    throw new Error('no further');
  },
};

test('migrating again changes nothing', async () => {
  const { db, tables } = memory();
  await migrate(db);
  const made = tables();
  assert.ok(made.includes('repositories'));
  await migrate(db);
  assert.deepEqual(tables(), made);
});

test('a failed step keeps the steps before it, is rolled back, and can be retried', async () => {
  const { db, tables } = memory();
  await assert.rejects(
    migrate(db, { '0001-registry': registry, '0002-failing': failing }),
    /to 0002-failing failed; this step was rolled back/,
  );
  assert.ok(tables().includes('tags'));
  assert.ok(!tables().includes('half_way'));
  await migrate(db, { '0001-registry': registry, '0002-failing': second });
  assert.ok(tables().includes('second'));
});

test('rejects the schema of a newer version by name and does not change it', async () => {
  const { db, tables } = memory();
  await migrate(db, { '0001-registry': registry, '0002-second': second });
  const before = tables();
  await assert.rejects(migrate(db), /written by a newer Berth \(it has 0002-second\)/);
  assert.deepEqual(tables(), before);
});

test('requireCurrentSchema accepts the current schema, and rejects another one or none', async () => {
  const { db, tables } = memory();
  await assert.rejects(requireCurrentSchema(db), EmptyDatabase);
  await migrate(db, { '0001-registry': registry });
  await assert.rejects(requireCurrentSchema(db), SchemaMismatch);
  const before = tables();
  await requireCurrentSchema(db, { '0001-registry': registry });
  assert.deepEqual(tables(), before);
});
