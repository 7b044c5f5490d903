import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { Kysely, sql } from 'kysely';
import { Client } from 'pg';
import { cleanUp } from '../../../test/support/cleanup.ts';
import { whyUnusable } from '../../../test/support/needs.ts';
import { openTestPostgres } from '../../../test/support/postgres.ts';
import { referrerRank } from '../../oci/referrer-rank.ts';
import { migrate, migrations } from '../migrate.ts';
import { sessionDialect } from '../postgres/dialect.ts';
import type { Schema } from '../schema.ts';
import { SqliteConnection, sqliteDialect } from '../sqlite/dialect.ts';

const openers: Record<string, (t: TestContext) => Promise<Kysely<Schema>>> = {
  SQLite: async () => {
    const connection = new SqliteConnection(new DatabaseSync(':memory:'));
    return new Kysely<Schema>({ dialect: sqliteDialect(connection, { busyTimeout: 0 }) });
  },
  PostgreSQL: async (t) => {
    const client = new Client({ connectionString: await openTestPostgres(t) });
    await client.connect();
    cleanUp(t, () => client.end());
    return new Kysely<Schema>({ dialect: sessionDialect(client) });
  },
};

const types = [
  null,
  'application/vnd.example',
  'application/vnd.dev.cosign.artifact.sig.v1+json',
  'application/vnd.dev.cosign.simplesigning.v1+json',
  'application/vnd.dev.sigstore.bundle.v0.3+json',
  'application/vnd.cncf.notary.signature',
  'application/vnd.dev.cosign.artifact.att.v1+json',
  'application/vnd.in-toto+json',
  'application/vnd.dsse.envelope.v1+json',
];

for (const [name, open] of Object.entries(openers)) {
  const skip = name === 'PostgreSQL' && whyUnusable('postgres');
  test(`${name}: existing manifests get a rank and the size of their annotations`, {
    skip,
  }, async (t) => {
    const db = await open(t);
    const { '0008-referrers': _, ...before } = migrations;
    const older = Object.entries(before).filter(([step]) => step < '0008');
    await migrate(db, Object.fromEntries(older));
    await db.insertInto('repositories').values({ name: 'a', created_at: 1 }).execute();
    for (const [i, artifact_type] of types.entries()) {
      const annotations = i % 2 ? JSON.stringify({ a: 'é'.repeat(i) }) : null;
      await db
        .insertInto('manifests')
        .values({
          ...{
            repository_id: 1,
            digest: `${i}`,
            media_type: 'a/b',
            size: 2,
            subject_digest: 'x',
            created_at: 1,
          },
          ...{ bytes: Buffer.from(`{${i}`), artifact_type, annotations },
        })
        .execute();
      await sql`insert into manifest_references (manifest_id, digest, kind) values (${i + 1}, 'y', 'blob')`.execute(
        db,
      );
      const tag = { repository_id: 1, name: `t${i}`, manifest_id: i + 1, updated_at: 1 };
      await db.insertInto('tags').values(tag).execute();
    }
    await migrate(db, Object.fromEntries([...older, ['0008-referrers', migrations['0008-referrers']!]]));

    const rows = await db.selectFrom('manifests').selectAll().orderBy('digest').execute();
    for (const [i, row] of rows.entries()) {
      const annotations = i % 2 ? JSON.stringify({ a: 'é'.repeat(i) }) : null;
      assert.equal(Buffer.from(row.bytes).toString(), `{${i}`);
      assert.deepEqual([row.annotations, row.artifact_type], [annotations, types[i]]);
      assert.equal(row.rank, referrerRank(types[i] as string | null), `${types[i]}`);
      assert.equal(Number(row.annotations_size), Buffer.byteLength(annotations ?? ''));
    }
    for (const table of ['manifest_references', 'tags'] as const) {
      assert.equal((await db.selectFrom(table).selectAll().execute()).length, types.length);
    }
  });
}

test('SQLite reads the first columns of a row without the megabytes after them', async (t) => {
  const db = await (openers.SQLite as (t: TestContext) => Promise<Kysely<Schema>>)(t);
  await migrate(db);
  const { rows } = await sql<{ name: string }>`select name from pragma_table_info('manifests')`.execute(db);
  assert.deepEqual(
    rows.slice(-2).map(({ name }) => name),
    ['annotations', 'bytes'],
  );
});
