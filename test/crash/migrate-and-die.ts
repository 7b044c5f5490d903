// Migrates a database and kills itself at the end of migration NAME, before its commit: migrate-and-die.ts DATABASE NAME
import { DatabaseSync } from 'node:sqlite';
import { Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';
import { migrate, migrations } from '../../src/db/migrate.ts';
import type { Schema } from '../../src/db/schema.ts';
import { SqliteConnection, sqliteDialect } from '../../src/db/sqlite/dialect.ts';

const [path, last] = process.argv.slice(2) as [string, string];

/** Rewrites a table, as a migration of a large database does for minutes. */
const slow: Migration = {
  async up(db) {
    await sql`create table slow as
      with recursive series (value) as (select 1 union all select value + 1 from series where value < 100000)
      select value from series`.execute(db);
    await sql`alter table manifests rename to manifests_before`.execute(db);
    await sql`delete from tags`.execute(db);
  },
};

function dying(migration: Migration): Migration {
  return {
    async up(db) {
      await migration.up(db);
      process.kill(process.pid, 'SIGKILL');
      await new Promise(() => {});
    },
  };
}

const known: Record<string, Migration> = { ...migrations, '9999-slow': slow };
const steps = Object.entries(known).map(([name, migration]) => [
  name,
  name === last ? dying(migration) : migration,
]);
const database = new DatabaseSync(path);
// A small cache, so that pages of the unfinished transaction reach the log.
database.exec('pragma journal_mode = wal; pragma cache_size = 10');
const connection = new SqliteConnection(database);
await migrate(
  new Kysely<Schema>({ dialect: sqliteDialect(connection, { busyTimeout: 0 }) }),
  Object.fromEntries(steps),
);
