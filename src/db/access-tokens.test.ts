import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeRobot } from '../../test/support/access.ts';
import { dialects, makeOrganisation, makeUser } from '../../test/support/databases.ts';
import { findRevocation, insertAccessToken, listAccessTokens, setRevoked } from './access-tokens.ts';
import { noOrigin } from './origins.ts';

for (const { name, open } of dialects) {
  test(`${name}: lists tokens by owner, without their hashes`, async (t) => {
    const database = await open(t);
    const alice = await makeUser(database, 'alice');
    const robot = await makeRobot(database, 'acme+deploy', await makeOrganisation(database, 'acme'));
    const insert = (account: number, hash: string, expiresAt: number | null) =>
      database.transaction((db) =>
        insertAccessToken(
          db,
          { ...noOrigin, account, name: 'ci', hash, scopes: 'repository:a:pull', expiresAt },
          5,
        ),
      );
    const first = await insert(alice, 'one', 9);
    const second = await insert(robot, 'two', null);
    const common = { name: 'ci', scopes: 'repository:a:pull', createdAt: 5 };
    const unused = { ...noOrigin, identity: null, lastUsedAt: null, lastUsedFrom: null, revokedAt: null };
    const ofRobot = {
      ...common,
      ...unused,
      id: second,
      owner: 'acme+deploy',
      ownerKind: 'robot',
      expiresAt: null,
      passwordChangedAt: null,
      tokenOnly: null,
    };
    const ofAlice = {
      ...common,
      ...unused,
      id: first,
      owner: 'alice',
      ownerKind: 'user',
      expiresAt: 9,
      passwordChangedAt: 1,
      tokenOnly: 0,
    };
    const list = async (account?: number) =>
      (await listAccessTokens(database.read, account)).map((row) => ({ ...row }));
    assert.deepEqual(await list(), [ofRobot, ofAlice]);
    assert.deepEqual(await list(alice), [ofAlice]);
    assert.deepEqual(await list(alice + robot), []);
    await assert.rejects(insert(alice, 'one', null), 'hashes are unique');
  });

  test(`${name}: revokes one token, once`, async (t) => {
    const database = await open(t);
    const alice = await makeUser(database, 'alice');
    const insert = (hash: string) =>
      database.transaction((db) =>
        insertAccessToken(
          db,
          { ...noOrigin, account: alice, name: '', hash, scopes: '', expiresAt: null },
          5,
        ),
      );
    const [id, other] = [await insert('one'), await insert('two')];
    const revoke = (now: number) => database.transaction((db) => setRevoked(db, id, now));
    assert.deepEqual([await revoke(7), await revoke(8)], [[id], []]);
    assert.equal(await findRevocation(database.read, id), 7);
    assert.equal(await findRevocation(database.read, other), undefined);
    assert.equal(await findRevocation(database.read, other + 1), undefined);
    const revoked = (await listAccessTokens(database.read)).map((row) => row.revokedAt);
    assert.deepEqual(revoked, [7, null]);
  });
}
