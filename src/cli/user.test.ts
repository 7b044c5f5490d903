import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { berth, berthReading, type Ended, makeRegistry } from '../../test/support/berth.ts';
import { needs } from '../../test/support/needs.ts';
import { openTestPostgres } from '../../test/support/postgres.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';

/** `berth` with its own empty registry. */
async function registry(t: TestContext) {
  const here = await noRegistry(t);
  await makeRegistry(here.data);
  return here;
}

/** `berth` with its own empty data directory. */
async function noRegistry(t: TestContext) {
  const data = join(await temporaryDirectory(t), 'data');
  return {
    data,
    berth: (...args: string[]) => berth(...args, '--data', data),
    reading: (text: string, ...args: string[]) => berthReading([text], ...args, '--data', data),
  };
}

function jsonOf({ exitCode, out, err }: Ended) {
  assert.deepEqual([exitCode, err], [0, '']);
  return JSON.parse(out);
}

test('--create creates the database and the first user before the first start', async (t) => {
  const { berth } = await noRegistry(t);
  const { exitCode, out, err } = await berth('user', 'create', 'alice', '--create');
  assert.deepEqual([exitCode, err], [0, '']);
  assert.match(out, /^created the user alice\npassword: [a-zA-Z2-9]{24}\n$/);
  assert.match((await berth('user', 'list')).out, /^alice /m);
});

test('--create creates the first user in an empty PostgreSQL database too', async (t) => {
  if (!needs(t, 'postgres')) return;
  const config = join(await temporaryDirectory(t), 'berth.yaml');
  writeFileSync(config, `database:\n  url: ${await openTestPostgres(t)}\n`);
  const fsck = await berth('fsck', '--config', config);
  assert.match(
    fsck.err,
    /^berth: no registry in \S+\/\S+: check the configuration, or create one with `berth serve`\n$/,
  );
  for (const name of ['alice', 'bob']) {
    assert.equal(
      (await berth('user', 'create', name, '--no-password', '--create', '--config', config)).err,
      '',
    );
  }
  assert.equal(jsonOf(await berth('user', 'list', '--json', '--config', config)).length, 2);
});

test('prints a new random password when the user is created, and never again', async (t) => {
  const { berth } = await registry(t);
  const made = ['alice', 'bob'].map((name) => berth('user', 'create', name, '--json'));
  const passwords = (await Promise.all(made)).map((ended) => jsonOf(ended).password);
  assert.equal(new Set(passwords).size, 2);
  for (const command of [['list'], ['show', 'alice'], ['list', '--json'], ['show', 'alice', '--json']]) {
    const { out } = await berth('user', ...command);
    for (const password of passwords) assert.ok(!out.includes(password));
    assert.doesNotMatch(out, /argon2/);
  }
});

test('creates a user with the password of standard input, and shows every setting', async (t) => {
  const { berth, reading } = await registry(t);
  const flags = ['--mail', 'alice@example.com', '--admin', '--token-only', '--default-visibility', 'public'];
  const made = await reading('correct horse\n', 'user', 'create', 'alice', '--password-stdin', ...flags);
  assert.deepEqual(made, { exitCode: 0, out: 'created the user alice\n', err: '' });
  const { createdAt, ...alice } = jsonOf(await berth('user', 'show', 'alice', '--json'));
  assert.match(createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  assert.deepEqual(alice, {
    name: 'alice',
    mail: 'alice@example.com',
    administrator: true,
    tokenOnly: true,
    disabled: false,
    hasPassword: true,
    defaultVisibility: 'public',
    organisations: [],
    teams: [],
    grants: [],
  });
});

test('a user created with --no-password has no password', async (t) => {
  const { berth } = await registry(t);
  assert.equal((await berth('user', 'create', 'bob', '--no-password')).out, 'created the user bob\n');
  assert.equal(jsonOf(await berth('user', 'show', 'bob', '--json')).hasPassword, false);
});

test('set changes only the given settings', async (t) => {
  const { berth, reading } = await registry(t);
  await berth('user', 'create', 'root', '--admin');
  const before = jsonOf(await berth('user', 'create', 'alice', '--no-password', '--json'));
  const seen = async () => jsonOf(await berth('user', 'show', 'alice', '--json'));
  let expected = before;
  for (const [flags, changes] of [
    [['--mail', 'a@example.com'], { mail: 'a@example.com' }],
    [['--admin'], { administrator: true }],
    [['--token-only'], { tokenOnly: true }],
    [['--disabled'], { disabled: true }],
    [['--password-stdin'], { hasPassword: true }],
    [['--default-visibility', 'public'], { defaultVisibility: 'public' }],
    [['--no-admin', '--mail', ''], { administrator: false, mail: null }],
    [['--no-token-only', '--enabled'], { tokenOnly: false, disabled: false }],
    [['--no-password'], { hasPassword: false }],
  ] as const) {
    const ended = await reading('correct horse\n', 'user', 'set', 'alice', ...flags);
    assert.deepEqual(ended, { exitCode: 0, out: 'changed the user alice\n', err: '' });
    expected = { ...expected, ...changes };
    assert.deepEqual(await seen(), expected);
  }
});

test('a user is shown with organisations, teams and grants', async (t) => {
  const { berth } = await registry(t);
  const made = jsonOf(await berth('user', 'create', 'alice', '--no-password', '--json'));
  await berth('org', 'create', 'acme', '--admin', 'alice');
  await berth('team', 'create', 'acme/dev');
  await berth('team', 'member', 'add', 'acme/dev', 'alice');
  await berth('grant', 'set', 'other/app', '--user', 'alice', '--role', 'write');
  await berth('grant', 'set', 'team/app', '--team', 'acme/dev', '--role', 'read');
  assert.equal(
    (await berth('user', 'show', 'alice')).out,
    `name              alice
mail              none
administrator     no
disabled          no
password          none
new repositories  private
created           ${made.createdAt}
organisations     acme (admin)
teams             acme/dev (local)
grants            other/app (write)
`,
  );
  assert.deepEqual(jsonOf(await berth('user', 'show', 'alice', '--json')), {
    ...made,
    organisations: [{ name: 'acme', role: 'admin' }],
    teams: [{ name: 'acme/dev', source: 'local' }],
    grants: [{ pattern: 'other/app', role: 'write' }],
  });
});

test('users are listed in columns', async (t) => {
  const { berth, reading } = await registry(t);
  await reading('correct horse', 'user', 'create', 'alice', '--admin', '--password-stdin');
  await berth('user', 'create', 'bob', '--no-password', '--mail', 'bob@example.com');
  await reading('correct horse', 'user', 'create', 'carol', '--token-only', '--password-stdin');
  await berth('user', 'set', 'bob', '--disabled');
  assert.deepEqual(await berth('user', 'list'), {
    exitCode: 0,
    out: `NAME   MAIL             ADMINISTRATOR  DISABLED  PASSWORD
alice                   yes            no        yes
bob    bob@example.com  no             yes       none
carol                   no             no        not for clients
`,
    err: '',
  });
});

test('lists all users of many pages', async (t) => {
  const { data, berth } = await registry(t);
  await berth('user', 'create', 'first', '--no-password');
  const { openSqlite } = await import('../db/sqlite/sqlite.ts');
  const { makeUser } = await import('../../test/support/databases.ts');
  const database = await openSqlite(join(data, 'berth.db'));
  for (let number = 0; number < 1_001; number++) await makeUser(database, `user${number}`);
  await database.close();
  assert.equal(jsonOf(await berth('user', 'list', '--json')).length, 1_002);
});

test('a deleted user is gone', async (t) => {
  const { berth } = await registry(t);
  await berth('user', 'create', 'alice');
  assert.deepEqual(jsonOf(await berth('user', 'delete', 'alice', '--json')), { deleted: 'alice' });
  assert.deepEqual(await berth('user', 'show', 'alice'), {
    exitCode: 1,
    out: '',
    err: 'berth: there is no user alice\n',
  });
});

test('a refused change prints one line and exits with code 1', async (t) => {
  const { berth, reading } = await registry(t);
  await berth('user', 'create', 'alice', '--admin');
  for (const [args, message] of [
    [['create', 'alice'], 'alice is taken: a user has that name'],
    [['create', 'library'], 'library is reserved for administrators and cannot be an account'],
    [['create', 'bob', '--password-stdin'], 'the password is too short: it needs at least 8 characters'],
    [['set', 'alice', '--password-stdin'], 'the password is too short: it needs at least 8 characters'],
    [
      ['set', 'alice', '--no-admin'],
      'alice is the only enabled administrator: make another user an administrator first (berth user set NAME --admin)',
    ],
    [['set', 'bob', '--admin'], 'there is no user bob'],
  ] as const) {
    const ended = await reading('short', 'user', ...args);
    assert.deepEqual(ended, { exitCode: 1, out: '', err: `berth: ${message}\n` });
  }
});

for (const [what, args, message] of [
  ['nothing to change', ['set', 'alice'], /^error: nothing to change: give an option/],
  ['two things at once', ['set', 'alice', '--disabled', '--enabled'], /cannot be used with/],
  ['a password and none', ['create', 'a', '--no-password', '--password-stdin'], /cannot be used with/],
  ['an unknown visibility', ['create', 'a', '--default-visibility', 'secret'], /choices are public, private/],
] as const) {
  test(`${what} exits with code 2`, async (t) => {
    const { berth } = await registry(t);
    const { exitCode, out, err } = await berth('user', ...args);
    assert.deepEqual([exitCode, out], [2, '']);
    assert.match(err, message);
  });
}

test("another registry's directory is refused, and no database is created in it", async (t) => {
  const { data, berth } = await noRegistry(t);
  mkdirSync(join(data, 'docker/registry/v2/repositories'), { recursive: true });
  const { exitCode, err } = await berth('user', 'create', 'alice', '--create');
  assert.equal(exitCode, 1);
  assert.match(err, /^berth: .* contains the images of another registry/);
  const { err: again } = await berth('fsck');
  assert.match(again, /no registry in/);
});

test('a read-only registry shows its users and refuses changes', async (t) => {
  const { berth } = await registry(t);
  await berth('user', 'create', 'alice');
  await berth('read-only', 'on', '--reason', 'moved to new.yaml');
  assert.deepEqual(await berth('user', 'set', 'alice', '--disabled'), {
    exitCode: 1,
    out: '',
    err: 'berth: the registry is read-only: moved to new.yaml\n',
  });
  assert.equal(jsonOf(await berth('user', 'show', 'alice', '--json')).disabled, false);
});

test('a password in the arguments is refused with the remedy, and not repeated', async (t) => {
  const { berth } = await registry(t);
  await berth('user', 'create', 'alice');
  for (const command of ['create bob --password hunter2222', 'set alice --password=hunter2222']) {
    const { exitCode, out, err } = await berth('user', ...command.split(' '));
    assert.deepEqual([exitCode, out], [2, '']);
    assert.match(err, /^error: a password in the arguments .* with --password-stdin\n$/);
    assert.doesNotMatch(err, /hunter/);
  }
  assert.equal(jsonOf(await berth('user', 'list', '--json')).length, 1);
  assert.doesNotMatch((await berth('user', 'create', '--help')).out, /--password </);
});
