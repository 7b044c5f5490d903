import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, digestNumber, makeRepository } from '../../test/support/databases.ts';
import { refused } from '../../test/support/refused.ts';
import { Refused } from '../access/refused.ts';
import { findAccount, setDisabled } from '../db/accounts.ts';
import type { Database } from '../db/database.ts';
import { ensureManifest } from '../db/manifests.ts';
import { findRepository } from '../db/repositories.ts';
import { findUser } from '../db/users.ts';
import { type Namespace, parseName } from '../oci/name.ts';
import { createOrganisation } from './organisations.ts';
import { createRobot } from './robots.ts';
import { changeUser, createUser, deleteUser } from './users.ts';

const find = (database: Database, name: string) => findUser(database.read, name as Namespace);

for (const { name, open } of dialects) {
  test(`${name}: a user is created with the given fields, and the password as a hash`, async (t) => {
    const database = await open(t);
    const alice = { name: 'alice', mail: 'alice@example.com', password: 'correct horse' };
    const id = await createUser(database, { ...alice, administrator: true, defaultVisibility: 'public' });
    const user = await find(database, 'alice');
    assert.match(user?.password ?? '', /^\$argon2id\$/);
    assert.deepEqual(
      { ...user, password: undefined, passwordChangedAt: undefined },
      {
        id,
        name: 'alice',
        mail: 'alice@example.com',
        administrator: true,
        tokenOnly: false,
        disabledAt: null,
        password: undefined,
        passwordChangedAt: undefined,
      },
    );
    assert.equal((await findAccount(database.read, 'alice' as Namespace))?.defaultVisibility, 'public');
    await createUser(database, { name: 'bob' });
    assert.equal((await find(database, 'bob'))?.password, null);
  });

  test(`${name}: a name is unique among all accounts, also in concurrent requests`, async (t) => {
    const database = await open(t);
    await createOrganisation(database, { name: 'acme' });
    await assert.rejects(
      createUser(database, { name: 'acme' }),
      refused('acme is taken: an organisation has that name'),
    );
    const results = await Promise.allSettled(
      Array.from({ length: 5 }, () => createUser(database, { name: 'alice' })),
    );
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
    for (const result of results) {
      if (result.status === 'rejected') assert.ok(result.reason instanceof Refused);
    }
  });

  test(`${name}: a change leaves the other fields of a user`, async (t) => {
    const database = await open(t);
    await createUser(database, { name: 'root', administrator: true });
    await createUser(database, { name: 'alice', mail: 'a@b', password: 'correct horse' });
    const before = await find(database, 'alice');
    await changeUser(database, 'alice', {});
    assert.deepEqual(await find(database, 'alice'), before);
    await changeUser(database, 'alice', { administrator: true, tokenOnly: true, mail: null });
    assert.deepEqual(await find(database, 'alice'), {
      ...before,
      administrator: true,
      tokenOnly: true,
      mail: null,
    });
    await changeUser(database, 'alice', { administrator: false, defaultVisibility: 'public' });
    assert.equal((await find(database, 'alice'))?.administrator, false);
    assert.equal((await findAccount(database.read, 'alice' as Namespace))?.defaultVisibility, 'public');
  });

  test(`${name}: a new or removed password gets a later time than the old one`, async (t) => {
    const database = await open(t);
    await createUser(database, { name: 'alice', password: 'correct horse' });
    const seen = [await find(database, 'alice')];
    for (const password of ['battery staple', null]) {
      await changeUser(database, 'alice', { password });
      const [now, before] = [await find(database, 'alice'), seen.at(-1)];
      assert.notEqual(now?.password, before?.password);
      assert.ok((now?.passwordChangedAt ?? 0) > (before?.passwordChangedAt ?? 0));
      seen.push(now);
    }
    assert.equal(seen.at(-1)?.password, null);
  });

  test(`${name}: a disabled user can be enabled again`, async (t) => {
    const database = await open(t);
    await createUser(database, { name: 'alice' });
    await changeUser(database, 'alice', { disabled: true });
    assert.notEqual((await find(database, 'alice'))?.disabledAt, null);
    await changeUser(database, 'alice', { disabled: false });
    assert.equal((await find(database, 'alice'))?.disabledAt, null);
  });

  test(`${name}: the last enabled administrator cannot be removed`, async (t) => {
    const database = await open(t);
    const root = await createUser(database, { name: 'root', administrator: true, mail: 'root@localhost' });
    const other = await createUser(database, { name: 'other', administrator: true });
    await changeUser(database, 'other', { disabled: true });
    const before = await find(database, 'root');
    const message =
      'root is the only enabled administrator: make another user an administrator first (berth user set NAME --admin)';
    for (const attempt of [
      () => changeUser(database, 'root', { administrator: false, mail: null }),
      () => changeUser(database, 'root', { disabled: true, mail: null }),
      () => changeUser(database, 'root', { disabled: true, administrator: false }),
      () => deleteUser(database, 'root'),
    ]) {
      await assert.rejects(attempt, refused(message));
      assert.deepEqual(await find(database, 'root'), before);
    }
    await database.transaction((db) => setDisabled(db, other, null));
    await deleteUser(database, 'root');
    assert.equal((await find(database, 'other'))?.id, other);
    assert.notEqual(other, root);
  });

  test(`${name}: of two administrators removed at once one remains`, async (t) => {
    const database = await open(t);
    for (const name of ['one', 'two']) await createUser(database, { name, administrator: true });
    const results = await Promise.allSettled([
      changeUser(database, 'one', { administrator: false }),
      changeUser(database, 'two', { disabled: true }),
    ]);
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  });

  test(`${name}: users can be changed if there is no administrator`, async (t) => {
    const database = await open(t);
    await createUser(database, { name: 'alice' });
    await changeUser(database, 'alice', { disabled: true });
    await deleteUser(database, 'alice');
    assert.equal(await find(database, 'alice'), undefined);
  });

  test(`${name}: a user is deleted only if the namespace's repositories are empty`, async (t) => {
    const database = await open(t);
    await createUser(database, { name: 'alice' });
    await createRobot(database, 'alice+ci');
    for (const repository of ['alice/a', 'alice/b', 'alice/c', 'alice/d', 'alicea/x']) {
      const id = await makeRepository(database, parseName(repository));
      const manifest = {
        repository: id,
        digest: digestNumber(1),
        mediaType: 'a/b',
        bytes: Buffer.from('{}'),
        subject: null,
        artifactType: null,
        annotations: null,
      };
      await database.transaction((db) => ensureManifest(db, manifest, 1));
    }
    await assert.rejects(
      deleteUser(database, 'alice'),
      refused(
        'alice cannot be deleted while it has repositories: alice/a, alice/b, alice/c, … (4 in all); delete them first (berth repo delete NAME), or disable alice instead',
      ),
    );
    assert.notEqual(await findAccount(database.read, 'alice+ci' as Namespace), undefined);
    await database.transaction((db) => db.deleteFrom('manifests').execute());
    await deleteUser(database, 'alice');
    assert.equal(await find(database, 'alice'), undefined);
    assert.equal(await findAccount(database.read, 'alice+ci' as Namespace), undefined);
    assert.equal(await findRepository(database.read, parseName('alice/a')), undefined);
    assert.notEqual(await findRepository(database.read, parseName('alicea/x')), undefined);
  });

  test(`${name}: an account of another kind is not changed or deleted as a user`, async (t) => {
    const database = await open(t);
    await createOrganisation(database, { name: 'acme' });
    for (const attempt of [
      (name: string) => changeUser(database, name, { disabled: true }),
      (name: string) => deleteUser(database, name),
    ]) {
      await assert.rejects(attempt('acme'), refused('acme is an organisation, not a user'));
      await assert.rejects(attempt('nobody'), refused('there is no user nobody'));
      await assert.rejects(attempt('No\nbody\0'), refused('there is no user "No\\nbody\\u0000"'));
    }
    assert.equal((await findAccount(database.read, 'acme' as Namespace))?.disabledAt, null);
  });
}

const [{ open }] = dialects as [(typeof dialects)[number]];

for (const [mistake, user, message] of [
  [
    'upper-case letters',
    { name: 'Bob' },
    /^"Bob" is not a valid name: a name has lowercase letters and digits/,
  ],
  ['a slash', { name: 'a/b' }, /^"a\/b" is not a valid name/],
  ["a robot's name", { name: 'a+b' }, /^"a\+b" is not a valid name/],
  ['the name of a route', { name: '_catalog' }, /^"_catalog" is not a valid name/],
  ['no name', { name: '' }, /^"" is not a valid name/],
  ['a name of 129 letters', { name: 'a'.repeat(129) }, /is not a valid name/],
  [
    "Docker Hub's library",
    { name: 'library' },
    'library is reserved for administrators and cannot be an account',
  ],
  ['a mail address without @', { mail: 'alice' }, '"alice" is not a mail address'],
  ['a mail address with a blank', { mail: 'a b@c' }, '"a b@c" is not a mail address'],
  ['a mail address on two lines', { mail: 'a@b\nc' }, /one line, without control characters/],
  ['an empty mail address', { mail: '' }, /must not be empty/],
  ['a mail address of 262 characters', { mail: `${'a'.repeat(260)}@b` }, /at most 254 characters/],
  ['an empty password', { password: '' }, 'the password is empty'],
  ['a password of 7 characters', { password: '1234567' }, /too short: it needs at least 8 characters/],
  ['a password of 7 characters outside the BMP', { password: '𐍈'.repeat(7) }, /too short/],
  [
    'a password of 1,025 bytes',
    { password: `${'é'.repeat(512)}a` },
    /too long: it may have at most 1024 bytes/,
  ],
  ['a password with a NUL', { password: 'password\0' }, /control character/],
] as const) {
  test(`no user is created with ${mistake}`, async (t) => {
    const database = await open(t);
    await assert.rejects(createUser(database, { name: 'alice', ...user }), refused(message));
    assert.equal(await find(database, 'alice'), undefined);
  });
}

for (const [what, user] of [
  ['the name admin', { name: 'admin' }],
  ['a name of 128 letters', { name: 'a'.repeat(128) }],
  ['a password of 8 characters', { name: 'a', password: '12345678' }],
  ['a password of 8 characters outside the BMP', { name: 'a', password: '𐍈'.repeat(8) }],
  ['a password of 1,024 bytes', { name: 'a', password: 'é'.repeat(512) }],
] as const) {
  test(`a user may have ${what}`, async (t) => {
    const database = await open(t);
    await createUser(database, user);
    assert.notEqual(await find(database, user.name), undefined);
  });
}
