import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { dialects, makeOrganisation, makeRepository, makeUser } from '../../test/support/databases.ts';
import { setDisabled } from '../db/accounts.ts';
import { findMemberRole, setMember } from '../db/members.ts';
import { listTeamsOf } from '../db/team-members.ts';
import { findUser, findUserById, updateUser } from '../db/users.ts';
import { type Namespace, parseName } from '../oci/name.ts';
import { type Person, signOn } from './sign-on.ts';
import { createTeam } from './teams.ts';

const issuer = 'https://login.example';

async function setUp(t: TestContext, dialect: (typeof dialects)[number]) {
  const database = await dialect.open(t);
  const enter = (claims: Partial<Person>, administratorsGroup?: string) => {
    const person = { issuer, subject: 's-1', username: 'alice', mail: undefined, groups: undefined };
    return signOn(database, { ...person, ...claims }, {}, { administratorsGroup });
  };
  const user = (name = 'alice') => findUser(database.read, name as Namespace);
  return { database, enter, user };
}

for (const dialect of dialects) {
  test(`${dialect.name}: the first sign-on creates an account without a password or rights`, async (t) => {
    const { enter, user } = await setUp(t, dialect);
    const signedOn = await enter({ mail: 'alice@example.com' });
    const { id, ...made } = (await user()) ?? assert.fail('no user was created');
    assert.deepEqual(signedOn, { account: id, name: 'alice', identity: 1, keptAdministrator: false });
    assert.equal(made.mail, 'alice@example.com');
    assert.equal(made.password, null);
    assert.equal(made.administrator, false);
    assert.equal(made.tokenOnly, false);
    assert.equal(made.disabledAt, null);
  });

  test(`${dialect.name}: an identity is an issuer's subject, under any name`, async (t) => {
    const { enter } = await setUp(t, dialect);
    const { account } = await enter({});
    assert.equal((await enter({ username: undefined })).account, account);
    assert.equal((await enter({ username: 'root' })).name, 'alice');
    const other = await enter({ subject: 's-2', username: 'bob' });
    const elsewhere = await enter({ issuer: 'https://other.example', username: 'carol' });
    assert.equal(new Set([account, other.account, elsewhere.account]).size, 3);
    for (const person of [{ subject: 's-3' }, { issuer: 'https://third.example' }]) {
      await assert.rejects(enter(person), {
        name: 'Refused',
        message: /^alice is taken: a user has that name/,
      });
    }
  });

  test(`${dialect.name}: a disabled user is refused, and not changed`, async (t) => {
    const { database, enter, user } = await setUp(t, dialect);
    const { account } = await enter({ mail: 'old@example.com' });
    await database.transaction((db) => setDisabled(db, account, 1));
    await assert.rejects(enter({ mail: 'new@example.com' }), {
      name: 'Refused',
      message: 'the account alice is disabled: ask an administrator of this registry',
    });
    assert.equal((await user())?.mail, 'old@example.com');
  });

  test(`${dialect.name}: a name with repositories is not given to a new user, unless they are empty`, async (t) => {
    const { database, enter } = await setUp(t, dialect);
    const repository = await makeRepository(database, parseName('alice/app'));
    await enter({});
    const other = await makeRepository(database, parseName('bob/app'));
    assert.notEqual(other, repository);
    await database.transaction((db) =>
      db
        .insertInto('manifests')
        .values({
          repository_id: other,
          digest: `sha256:${'0'.repeat(64)}`,
          media_type: 'x',
          bytes: new Uint8Array(),
          size: 0,
          created_at: 1,
        })
        .execute(),
    );
    await assert.rejects(enter({ subject: 's-2', username: 'bob' }), {
      name: 'Refused',
      message: 'bob cannot be your account, because repositories with that name exist; ask an administrator',
    });
  });

  test(`${dialect.name}: the last valid mail address is kept`, async (t) => {
    const { enter, user } = await setUp(t, dialect);
    for (const [mail, kept] of [
      [undefined, null],
      ['no address', null],
      ['a@example.com', 'a@example.com'],
      ['a@example.com', 'a@example.com'],
      [undefined, 'a@example.com'],
      [['b@example.com'], 'a@example.com'],
      ['b@example.com', 'b@example.com'],
    ] as const) {
      await enter({ mail });
      assert.equal((await user())?.mail, kept, JSON.stringify(mail));
    }
  });

  test(`${dialect.name}: a single group may be a string, and other types are ignored`, async (t) => {
    const { database, enter } = await setUp(t, dialect);
    const acme = await makeOrganisation(database, 'acme');
    await createTeam(database, 'acme/developers', { group: 'dev' });
    await createTeam(database, 'acme/numbers', { group: '7' });
    const { account } = await enter({});
    const teams = async () => (await listTeamsOf(database.read, account)).map(({ name }) => name);
    for (const [groups, joined] of [
      ['dev', ['developers']],
      [undefined, []],
      [['x', 'dev'], ['developers']],
      [null, []],
      [{ dev: 'dev' }, []],
      [7, []],
      [[7, ['dev']], []],
      ['de', []],
    ] as const) {
      await enter({ groups });
      assert.deepEqual(await teams(), joined, JSON.stringify(groups));
    }
    assert.equal(await findMemberRole(database.read, acme, account), 'none');
  });

  test(`${dialect.name}: joining a team does not change the role in its organisation`, async (t) => {
    const { database, enter } = await setUp(t, dialect);
    const acme = await makeOrganisation(database, 'acme');
    await createTeam(database, 'acme/developers', { group: 'dev' });
    const { account } = await enter({});
    await database.transaction((db) => setMember(db, acme, account, 'maintain'));
    await enter({ groups: ['dev'] });
    assert.equal(await findMemberRole(database.read, acme, account), 'maintain');
    assert.equal((await listTeamsOf(database.read, account)).length, 1);
  });

  test(`${dialect.name}: administrators match the configured group, except for the last one`, async (t) => {
    const { database, enter, user } = await setUp(t, dialect);
    const seen = async (groups: readonly string[], administratorsGroup?: string) => {
      const { keptAdministrator } = await enter({ groups }, administratorsGroup);
      return [(await user())?.administrator, keptAdministrator];
    };
    assert.deepEqual(await seen(['ops'], 'dev'), [false, false]);
    assert.deepEqual(await seen(['dev', 'ops'], 'ops'), [true, false]);
    assert.deepEqual(await seen(['ops'], 'ops'), [true, false]);
    assert.deepEqual(await seen([]), [true, false], 'no group is named');
    assert.deepEqual(await seen([], 'ops'), [true, true], 'the last administrator stays');

    const root = await makeUser(database, 'root');
    await database.transaction((db) => updateUser(db, root, { administrator: true }));
    assert.deepEqual(await seen([], 'ops'), [false, false]);
    assert.deepEqual(await seen([], 'ops'), [false, false], 'another administrator exists');
    assert.deepEqual(await seen([]), [false, false]);
    assert.equal((await findUserById(database.read, root))?.administrator, true);
  });
}

const [dialect] = dialects as [(typeof dialects)[number]];

for (const [claim, name] of [
  ['alice', 'alice'],
  ['Jane.Doe@example.com', 'jane.doe'],
  ['jane@corp@example.com', 'jane'],
  ['jane doe (ops)', 'jane-doe-ops'],
  ['j__d', 'j_d'],
  ['j.-_d', 'j.d'],
  ['-jane-', 'jane'],
  ['..jane..', 'jane'],
  ['_7', '7'],
  ['Æsa', 'sa'],
  [`${'a'.repeat(128)}b`, 'a'.repeat(128)],
  [`${'a'.repeat(127)}@example.com`, 'a'.repeat(127)],
] as const) {
  test(`the provider's name ${JSON.stringify(claim)} gives the account ${name}`, async (t) => {
    const { enter } = await setUp(t, dialect);
    assert.equal((await enter({ username: claim })).name, name);
  });
}

for (const claim of ['', '@example.com', '...', '§', undefined, null, 7, ['alice'], { name: 'alice' }]) {
  test(`the provider's name ${JSON.stringify(claim)} gives no account`, async (t) => {
    const { enter } = await setUp(t, dialect);
    await assert.rejects(enter({ username: claim }), {
      name: 'Refused',
      message: 'the sign-on provider gives no user name that is valid for an account; ask an administrator',
    });
  });
}
