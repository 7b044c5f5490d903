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
  test(`${name}: queues the blobs that no manifest of their repository needs, and those that no repository holds`, async (t) => {
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
    const before = Object.entries(migrations).filter(([step]) => step < '0011');
    await migrate(db, Object.fromEntries(before));
    await sql`insert into repositories (name, created_at) values ('one', 1), ('two', 1)`.execute(db);
    await sql`
      insert into blobs (digest, size, generation, state, created_at, review_at)
      values ('needed', 1, 0, 'stored', 1, 7), ('unneeded', 1, 0, 'stored', 1, 7), ('unheld', 1, 0, 'stored', 1, 7),
        ('deleted', 1, 0, 'deleted', 1, 7)
    `.execute(db);
    await sql`
      insert into repository_blobs (repository_id, digest, created_at)
      values (1, 'needed', 3), (1, 'unneeded', 4), (2, 'needed', 5)
    `.execute(db);
    await sql`
      insert into manifests (repository_id, digest, media_type, bytes, size, created_at)
      values (1, 'm', 'a/b', ${Buffer.from('{}')}, 2, 1)
    `.execute(db);
    await sql`insert into manifest_references (manifest_id, digest, kind) select id, 'needed', 'blob' from manifests`.execute(
      db,
    );
    await migrate(db);
    const links = await db
      .selectFrom('repository_blobs')
      .select(['repository_id', 'digest', 'review_at'])
      .orderBy('created_at')
      .execute();
    assert.deepEqual(
      // PostgreSQL's client returns its bigints as text here.
      links.map((link) => ({
        ...link,
        repository_id: Number(link.repository_id),
        review_at: link.review_at === null ? null : Number(link.review_at),
      })),
      [
        { repository_id: 1, digest: 'needed', review_at: null },
        { repository_id: 1, digest: 'unneeded', review_at: 4 },
        { repository_id: 2, digest: 'needed', review_at: 5 },
      ],
    );
    const blobs = await db.selectFrom('blobs').select(['digest', 'unheld_at']).orderBy('digest').execute();
    assert.deepEqual(
      blobs.map(({ digest, unheld_at: since }) => [digest, since === null ? null : Number(since)]),
      [
        ['deleted', null],
        ['needed', null],
        ['unheld', 7],
        ['unneeded', null],
      ],
    );
    const references = await db.selectFrom('manifest_references').select('repository_id').execute();
    assert.deepEqual(
      references.map(({ repository_id: id }) => Number(id)),
      [1],
    );
  });
}
