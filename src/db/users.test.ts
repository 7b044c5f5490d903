import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, makeOrganisation, makeUser } from '../../test/support/databases.ts';
import type { Namespace } from '../oci/name.ts';
import { setDisabled } from './accounts.ts';
import {
  countEnabledAdministrators,
  findUser,
  findUserById,
  listUsers,
  replacePasswordHash,
  setPassword,
  updateUser,
} from './users.ts';

const alice = 'alice' as Namespace;

for (const { name, open } of dialects) {
  test(`${name}: finds a user by name and by id, and no other kind of account`, async (t) => {
    const database = await open(t);
    const id = await makeUser(database, 'alice');
    const user = {
      id,
      name: 'alice',
      disabledAt: null,
      mail: null,
      password: null,
      passwordChangedAt: 1,
      administrator: false,
      tokenOnly: false,
    };
    assert.deepEqual(await findUser(database.read, alice), user);
    assert.deepEqual(await findUserById(database.read, id), user);
    const organisation = await makeOrganisation(database, 'acme');
    assert.equal(await findUser(database.read, 'acme' as Namespace), undefined);
    assert.equal(await findUserById(database.read, organisation), undefined);
  });

  test(`${name}: lists users in byte order, page by page`, async (t) => {
    const database = await open(t);
    for (const user of ['b', 'a-b', 'a0']) await makeUser(database, user);
    await makeOrganisation(database, 'a1');
    const names = async (after: string, limit: number) =>
      (await listUsers(database.read, after, limit)).map((user) => user.name);
    assert.deepEqual(await names('', 2), ['a-b', 'a0']);
    assert.deepEqual(await names('a0', 2), ['b']);
  });

  test(`${name}: updateUser changes only the given fields`, async (t) => {
    const database = await open(t);
    const id = await makeUser(database, 'alice');
    const update = (changes: Parameters<typeof updateUser>[2]) =>
      database.transaction((db) => updateUser(db, id, changes));
    const seen = async () => {
      const user = await findUserById(database.read, id);
      return [user?.mail, user?.administrator, user?.tokenOnly];
    };
    await update({ mail: 'alice@example.com' });
    assert.deepEqual(await seen(), ['alice@example.com', false, false]);
    await update({ administrator: true });
    await update({ tokenOnly: true });
    assert.deepEqual(await seen(), ['alice@example.com', true, true]);
    await update({});
    await update({ mail: null, administrator: false, tokenOnly: false });
    assert.deepEqual(await seen(), [null, false, false]);
  });

  test(`${name}: a new password has a later time than the former one, even if the clock was set back`, async (t) => {
    const database = await open(t);
    const id = await makeUser(database, 'alice');
    const set = async (hash: string | null, now: number) => {
      await database.transaction((db) => setPassword(db, id, hash, now));
      const { password, passwordChangedAt } = (await findUserById(database.read, id)) as NonNullable<
        Awaited<ReturnType<typeof findUserById>>
      >;
      return [password, passwordChangedAt];
    };
    assert.deepEqual(await set('one', 100), ['one', 100]);
    assert.deepEqual(await set('two', 100), ['two', 101]);
    assert.deepEqual(await set('three', 7), ['three', 102]);
    assert.deepEqual(await set(null, 200), [null, 200]);
  });

  test(`${name}: replacePasswordHash keeps the time, and does not replace another hash`, async (t) => {
    const database = await open(t);
    const id = await makeUser(database, 'alice');
    const seen = async () => {
      const user = await findUserById(database.read, id);
      return [user?.password, user?.passwordChangedAt];
    };
    await database.transaction((db) => setPassword(db, id, 'bcrypt', 5));
    await database.transaction((db) => replacePasswordHash(db, id, 'bcrypt', 'argon2'));
    assert.deepEqual(await seen(), ['argon2', 5]);
    await database.transaction((db) => replacePasswordHash(db, id, 'bcrypt', 'late'));
    assert.deepEqual(await seen(), ['argon2', 5]);
  });

  test(`${name}: does not count disabled administrators`, async (t) => {
    const database = await open(t);
    const count = () => countEnabledAdministrators(database.read);
    assert.equal(await count(), 0);
    const [one, two] = [await makeUser(database, 'one'), await makeUser(database, 'two')];
    await makeUser(database, 'three');
    for (const id of [one, two]) {
      await database.transaction((db) => updateUser(db, id, { administrator: true }));
    }
    assert.equal(await count(), 2);
    await database.transaction((db) => setDisabled(db, one, 5));
    assert.equal(await count(), 1);
  });
}
