import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { Kysely, sql } from 'kysely';
import { Client } from 'pg';
import { cleanUp } from '../../../test/support/cleanup.ts';
import { whyUnusable } from '../../../test/support/needs.ts';
import { openTestPostgres } from '../../../test/support/postgres.ts';
import { migrate, migrations } from '../migrate.ts';
import { sessionDialect } from '../postgres/dialect.ts';
import type { Schema } from '../schema.ts';
import { SqliteConnection, sqliteDialect } from '../sqlite/dialect.ts';

for (const name of ['SQLite', 'PostgreSQL']) {
  test(`${name}: counts the blobs, tags and repositories that exist`, async (t) => {
    const reason = name === 'PostgreSQL' ? whyUnusable('postgres') : undefined;
    if (reason !== undefined) return t.skip(reason);
    let db: Kysely<Schema>;
    if (name === 'SQLite') {
      const connection = new SqliteConnection(new DatabaseSync(':memory:'));
      db = new Kysely<Schema>({ dialect: sqliteDialect(connection, { busyTimeout: 0 }) });
    } else {
      const client = new Client({ connectionString: await openTestPostgres(t) });
      await client.connect();
      cleanUp(t, () => client.end());
      db = new Kysely<Schema>({ dialect: sessionDialect(client) });
    }
    await migrate(db, Object.fromEntries(Object.entries(migrations).filter(([step]) => step < '0017')));
    await sql`insert into repositories (name, created_at) values ('acme/a', 1), ('acme/b', 1), ('plain', 1)`.execute(
      db,
    );
    await sql`
      insert into blobs (digest, size, generation, state, created_at, review_at)
      values ('one', 1, 0, 'stored', 1, 1), ('two', 20, 0, 'stored', 1, 1)
    `.execute(db);
    await sql`
      insert into repository_blobs (repository_id, digest, created_at)
      values (1, 'one', 1), (1, 'two', 1), (2, 'two', 1)
    `.execute(db);
    await sql`
      insert into manifests (repository_id, digest, media_type, bytes, size, created_at)
      values (1, 'm', 'a/b', ${Buffer.from('{}')}, 2, 1)
    `.execute(db);
    await sql`insert into tags (repository_id, name, manifest_id, updated_at) select 1, 'v1', id, 1 from manifests`.execute(
      db,
    );
    await migrate(db);
    const rows = async (table: 'repository_usage' | 'namespace_usage' | 'namespace_blobs', key: string) => {
      const found = await db.selectFrom(table).selectAll().orderBy(sql.ref(key)).execute();
      // PostgreSQL's client returns its bigints as text here.
      return found.map((row) => Object.values(row).map(String));
    };
    assert.deepEqual(await rows('repository_usage', 'repository_id'), [
      ['1', '2', '21', '1'],
      ['2', '1', '20', '0'],
    ]);
    assert.deepEqual(await rows('namespace_usage', 'namespace'), [
      ['', '0', '0', '0', '1'],
      ['acme', '2', '21', '1', '2'],
    ]);
    assert.deepEqual(await rows('namespace_blobs', 'digest'), [
      ['acme', 'one', '1'],
      ['acme', 'two', '2'],
    ]);
  });
}
