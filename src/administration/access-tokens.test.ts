import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeOrganisation, makeRobot, makeUser } from '../../test/support/access.ts';
import { dialects } from '../../test/support/databases.ts';
import { refused } from '../../test/support/refused.ts';
import { hashOf } from '../access/login/access-token.ts';
import { noOrigin } from '../db/origins.ts';
import { accessTokensOf, createAccessToken, revokeAccessToken, type TokenOwner } from './access-tokens.ts';
import type { ActingDatabase } from './change.ts';

const now = 1_000;
const day = 86_400_000;
const alice: TokenOwner = { kind: 'user', name: 'alice' };
const robot: TokenOwner = { kind: 'robot', name: 'acme+ci' };

/** The listed tokens as plain objects. */
async function listed(database: ActingDatabase, owner: TokenOwner | undefined) {
  return (await accessTokensOf(database, owner)).map((row) => ({ ...row }));
}

/** alice and a robot of acme, with a fixed clock. */
async function prepared(opened: ActingDatabase) {
  const database: ActingDatabase = { ...opened, clock: () => now, read: opened.read };
  const user = await makeUser(database, 'alice');
  const acme = await makeOrganisation(database, 'acme');
  await makeRobot(database, 'acme+ci', acme);
  const disable = (id: number) =>
    database.transaction((db) =>
      db.updateTable('accounts').set({ disabled_at: 5 }).where('id', '=', id).execute(),
    );
  return { database, user, acme, disable };
}

for (const { name, open } of dialects) {
  test(`${name}: a token is stored as its hash, with name, scopes and end`, async (t) => {
    const { database } = await prepared(await open(t));
    const scopes = ['repository:acme/**:pull', 'repository:base:push'];
    const made = await createAccessToken(database, { owner: robot, name: 'GitHub', scopes, lifetime: day });
    assert.equal(made.expiresAt, now + day);
    await createAccessToken(database, { owner: alice, scopes: [], lifetime: null });
    const kept = await database.read.selectFrom('access_tokens').select('hash').execute();
    assert.ok(kept.some(({ hash }) => hash === hashOf(made.token)));
    const unbound = { ...noOrigin, identity: null };
    const untouched = { ...unbound, createdAt: now, lastUsedAt: null, lastUsedFrom: null, revokedAt: null };
    const ofRobot = {
      ...untouched,
      id: made.id,
      name: 'GitHub',
      owner: 'acme+ci',
      ownerKind: 'robot',
      scopes: scopes.join(' '),
      expiresAt: now + day,
      passwordChangedAt: null,
      tokenOnly: null,
    };
    assert.deepEqual(await listed(database, robot), [ofRobot]);
    const all = await listed(database, undefined);
    assert.deepEqual(all[0], ofRobot);
    const { id, ...ofUser } = all[1] as (typeof all)[number];
    assert.deepEqual(await listed(database, alice), [{ id, ...ofUser }]);
    const plain = { name: '', owner: 'alice', ownerKind: 'user', scopes: '', expiresAt: null };
    const { passwordChangedAt } = ofUser;
    assert.deepEqual(ofUser, { ...untouched, ...plain, passwordChangedAt, tokenOnly: 0 });
    await assert.rejects(
      accessTokensOf(database, { kind: 'user', name: 'bob' }),
      refused('there is no user bob'),
    );
  });

  test(`${name}: a token lasts from a millisecond to ten years, or without end`, async (t) => {
    const { database } = await prepared(await open(t));
    const until = async (lifetime: number | null) =>
      (await createAccessToken(database, { owner: alice, scopes: [], lifetime })).expiresAt;
    assert.equal(await until(1), now + 1);
    assert.equal(await until(3_650 * day), now + 3_650 * day);
    assert.equal(await until(null), null);
    for (const lifetime of [-1, 0, 3_650 * day + 1]) {
      await assert.rejects(
        until(lifetime),
        refused('the lifetime of a token must be above 0 and at most 3650d, or never'),
      );
    }
  });

  test(`${name}: no token is created for an unknown owner, with an invalid name or invalid scopes`, async (t) => {
    const { database } = await prepared(await open(t));
    const good = { owner: alice, scopes: [], lifetime: null } as const;
    for (const [change, message] of [
      [{ owner: { kind: 'user', name: 'bob' } }, 'there is no user bob'],
      [{ owner: { kind: 'user', name: 'acme' } }, 'acme is an organisation, not a user'],
      [{ owner: { kind: 'robot', name: 'alice' } }, 'alice is a user, not a robot'],
      [{ name: '' }, "a token's name must not be empty, or begin or end with a blank"],
      [{ scopes: ['pull'] }, /^"pull" is not a valid scope/],
    ] as const) {
      await assert.rejects(createAccessToken(database, { ...good, ...change }), refused(message));
    }
    assert.deepEqual(await listed(database, undefined), []);
  });

  test(`${name}: a disabled user gets no token, nor does a robot of a disabled namespace`, async (t) => {
    const { database, user, acme, disable } = await prepared(await open(t));
    const make = (owner: TokenOwner) => createAccessToken(database, { owner, scopes: [], lifetime: null });
    await disable(user);
    await assert.rejects(make(alice), refused('alice is disabled: a token of alice would not work'));
    await make(robot);
    await disable(acme);
    await assert.rejects(make(robot), refused('acme is disabled: a token of acme+ci would not work'));
  });

  test(`${name}: revoking a token again keeps the time of the first revocation`, async (t) => {
    const { database } = await prepared(await open(t));
    const { id } = await createAccessToken(database, { owner: alice, scopes: [], lifetime: null });
    assert.equal(await revokeAccessToken(database, id), now);
    assert.equal(
      await revokeAccessToken({ ...database, read: database.read, clock: () => now + 5 }, id),
      now,
    );
    assert.equal((await accessTokensOf(database, alice))[0]?.revokedAt, now);
    await assert.rejects(
      revokeAccessToken(database, id + 1),
      refused(`there is no token ${id + 1} (berth token list shows them)`),
    );
  });
}
