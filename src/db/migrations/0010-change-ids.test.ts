import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { Kysely, sql } from 'kysely';
import { migrate, migrations } from '../migrate.ts';
import type { Schema } from '../schema.ts';
import { SqliteConnection, sqliteDialect } from '../sqlite/dialect.ts';

test('keeps all changes with their ids', async () => {
  const connection = new SqliteConnection(new DatabaseSync(':memory:'));
  const db = new Kysely<Schema>({ dialect: sqliteDialect(connection, { busyTimeout: 0 }) });
  const upTo = (last: string) =>
    Object.fromEntries(Object.entries(migrations).filter(([name]) => name < last));
  await migrate(db, upTo('0010'));
  const columns = sql`at, kind, repository, repository_id, tag, old_digest, new_digest, detail, actor, actor_name, credential,
    address, client, request_id`;
  for (const [id, at] of [
    [3, 7],
    [9, 5],
  ]) {
    await sql`
      insert into changes (id, ${columns})
      values (${id}, ${at}, 'manifest.push', 'app', 1, 'v1', 'a', 'b', '{}', 'user:1', 'alice', 'password', '::1', 'docker', 'r')
    `.execute(db);
  }
  const read = async () =>
    (await db.selectFrom('changes').selectAll().orderBy('id').execute()).map((row) => ({ ...row }));
  const rows = await read();
  await migrate(db, upTo('0011'));
  assert.deepEqual(await read(), rows);
  assert.equal(rows.length, 2);
  const { rows: indexes } = await sql<{ name: string }>`
    select name from sqlite_master where type = 'index' and tbl_name = 'changes'
  `.execute(db);
  assert.deepEqual(
    indexes.map(({ name }) => name),
    ['changes_by_time'],
  );
});
