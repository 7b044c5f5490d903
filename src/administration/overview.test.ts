import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects } from '../../test/support/databases.ts';
import { insertAccessToken } from '../db/access-tokens.ts';
import { deleteIdentity, insertIdentity } from '../db/identities.ts';
import { noOrigin, type Origin } from '../db/origins.ts';
import { findUserById } from '../db/users.ts';
import { overviewOf } from './overview.ts';
import { changeUser, createUser } from './users.ts';

for (const dialect of dialects) {
  test(`${dialect.name}: tokens whose origin has ended do not count in the overview`, async (t) => {
    const database = await dialect.open(t);
    const account = await createUser(database, { name: 'alice', password: 'correct horse battery' });
    const password = async () => (await findUserById(database.read, account))?.passwordChangedAt as number;
    let made = 0;
    const make = (count: number, origin: Partial<Origin>) =>
      database.transaction(async (db) => {
        for (let i = 0; i < count; i++) {
          made += 1;
          const row = {
            ...noOrigin,
            ...origin,
            account,
            name: `t${made}`,
            hash: `${made}`,
            scopes: '',
            expiresAt: null,
          };
          await insertAccessToken(db, row, 1);
        }
      });
    const shown = async (passwordLogin = true) =>
      (await overviewOf(database, account, passwordLogin))?.tokens.map(({ name }) => name);
    const identity = await database.transaction((db) =>
      insertIdentity(db, 'https://issuer.example', 's-1', account),
    );
    await make(1, {});
    await make(60, { originPassword: await password() });
    await changeUser(database, 'alice', { password: 'another horse battery' });
    await make(1, { originPassword: await password() });
    await make(60, { originIdentity: identity });
    assert.equal((await shown())?.length, 62);
    await database.transaction((db) => deleteIdentity(db, account, 'https://issuer.example', 's-1'));
    assert.deepEqual(await shown(), ['t62', 't1']);
    assert.deepEqual(await shown(false), ['t1']);
    await changeUser(database, 'alice', { tokenOnly: true });
    assert.deepEqual(await shown(), ['t1']);
  });
}
