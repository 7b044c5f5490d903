import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { Kysely } from 'kysely';
import { Client } from 'pg';
import { cleanUp } from '../../../test/support/cleanup.ts';
import { whyUnusable } from '../../../test/support/needs.ts';
import { openTestPostgres } from '../../../test/support/postgres.ts';
import { findIdentity, insertIdentity } from '../identities.ts';
import { migrate, migrations } from '../migrate.ts';
import { sessionDialect } from '../postgres/dialect.ts';
import { clientConfig } from '../postgres/session.ts';
import type { Schema } from '../schema.ts';
import { SqliteConnection, sqliteDialect } from '../sqlite/dialect.ts';
import { findHighestBcryptCost } from '../users.ts';

const sqlite = async () => {
  const connection = new SqliteConnection(new DatabaseSync(':memory:'));
  return new Kysely<Schema>({ dialect: sqliteDialect(connection, { busyTimeout: 0 }) });
};

const postgres = async (t: TestContext) => {
  const client = new Client(clientConfig(await openTestPostgres(t)));
  await client.connect();
  cleanUp(t, () => client.end());
  return new Kysely<Schema>({ dialect: sessionDialect(client) });
};

const before = Object.fromEntries(Object.entries(migrations).filter(([name]) => name < '0005'));

for (const [name, open] of [
  ['SQLite', sqlite],
  ['PostgreSQL', postgres],
] as const) {
  const skip = name === 'PostgreSQL' && whyUnusable('postgres');
  test(`${name}: keeps identities and tokens, and ends sessions`, { skip }, async (t) => {
    const db = await open(t);
    await migrate(db, before);
    const old = db as unknown as Kysely<Record<string, Record<string, unknown>>>;
    const account = { name: 'alice', kind: 'user', created_at: 1 } as const;
    const { id } = await db.insertInto('accounts').values(account).returning('id').executeTakeFirstOrThrow();
    const password = `$2y$11$${'a'.repeat(53)}`;
    const user = { account_id: id, password, password_changed_at: 1, administrator: 0, token_only: 0 };
    await db.insertInto('users').values(user).execute();
    const token = { account_id: id, name: 'ci', hash: 'h', scopes: '', created_at: 1 };
    await old.insertInto('access_tokens').values(token).execute();
    for (const subject of ['s-1', 's-2']) {
      await old
        .insertInto('identities')
        .values({ issuer: 'https://sso.example', subject, account_id: id })
        .execute();
    }
    const session = { hash: 'x', account_id: id, token_id: null, created_at: 1, expires_at: 9e15 };
    await old.insertInto('sessions').values(session).execute();

    await migrate(db, { ...before, ...migrations });
    const [one, two] = [
      await findIdentity(db, 'https://sso.example', 's-1'),
      await findIdentity(db, 'https://sso.example', 's-2'),
    ];
    assert.deepEqual([one?.account, two?.account, one?.id === two?.id], [id, id, false]);
    assert.ok(
      (await insertIdentity(db, 'https://sso.example', 's-3', id)) > Math.max(one?.id ?? 0, two?.id ?? 0),
    );
    await assert.rejects(insertIdentity(db, 'https://sso.example', 's-1', id), 'a subject is unique');
    assert.deepEqual(await db.selectFrom('sessions').select('hash').execute(), []);
    const [kept] = await db.selectFrom('access_tokens').selectAll().execute();
    assert.deepEqual(
      [kept?.hash, kept?.origin_password, kept?.origin_identity, kept?.origin_token],
      ['h', null, null, null],
    );
    assert.equal(await findHighestBcryptCost(db), '11');
  });
}
