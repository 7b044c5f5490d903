import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { hash } from '@node-rs/bcrypt';
import { berth, makeRegistry } from '../../test/support/berth.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { Logins } from '../access/login/logins.ts';
import { findUser } from '../db/users.ts';
import type { Namespace } from '../oci/name.ts';
import { openDatabase } from '../open.ts';

// In the format of htpasswd -B.
const [alice, bob] = (await Promise.all(['pass of alice', 'pass of bob'].map((text) => hash(text, 5)))).map(
  (made) => made.replace('$2b$', '$2y$'),
) as [string, string];

async function setUp(t: TestContext, text: string) {
  const data = join(await temporaryDirectory(t), 'data');
  const file = join(await temporaryDirectory(t), 'htpasswd');
  writeFileSync(file, text);
  await makeRegistry(data);
  const user = (...args: string[]) => berth('user', ...args, '--data', data);
  return {
    file,
    user,
    importFile: (...args: string[]) => user('import-htpasswd', file, ...args),
    names: async () =>
      (JSON.parse((await user('list', '--json')).out) as { name: string }[]).map(({ name }) => name),
    open: () => openDatabase({ data, database: { poolSize: 1 } }),
  };
}

test('each entry becomes a user with the same password', async (t) => {
  const { importFile, open } = await setUp(t, `# people\nalice:${alice}\r\n\nbob:${bob}\n`);
  assert.deepEqual(await importFile('--admin', 'alice'), {
    exitCode: 0,
    out: 'imported 2 of 2 users\n',
    err: '',
  });
  const database = await open();
  t.after(() => database.close());
  const logins = new Logins({ database, clock: Date.now, passwordLogin: true, perAddress: 9, perAccount: 9 });
  for (const name of ['alice', 'bob']) {
    const credentials = { username: name, password: `pass of ${name}` };
    const { principal } = await logins.authenticate(credentials, '192.0.2.1');
    assert.equal(principal.kind === 'user' && principal.name, name);
  }
  await assert.rejects(logins.authenticate({ username: 'bob', password: 'pass of alice' }, '192.0.2.1'), {
    code: 'UNAUTHORIZED',
  });
  await logins.settled();
  const found = await Promise.all(['alice', 'bob'].map((name) => findUser(database.read, name as Namespace)));
  assert.deepEqual(
    found.map((user) => user?.administrator),
    [true, false],
  );
  assert.ok(found.every((user) => user?.password?.startsWith('$argon2id$')));
});

const unsupported = [
  `alice:${alice}`,
  'carol:$apr1$canary$canarycanarycanary',
  'dave:{SHA}canarycanary=',
  'erin:$6$canary$canary',
  'frank:canarycanary1',
  'grace:canary',
  `heidi:${bob.replace('$05$', '$17$')}`,
  `Ivan:${bob}`,
  `library:${bob}`,
  `alice:${bob}`,
  'no hash at all',
].join('\n');

const reasons = [
  [2, /the hash of "carol" cannot be imported: Apache's MD5$/],
  [3, /the hash of "dave" cannot be imported: SHA-1 without a salt$/],
  [4, /the hash of "erin" cannot be imported: SHA-512$/],
  [5, /the hash of "frank" cannot be imported: crypt, which reads 8 characters$/],
  [6, /the hash of "grace" cannot be imported: an unknown kind of hash$/],
  [7, /the hash of "heidi" cannot be imported: bcrypt of cost 17; the highest is 15$/],
  [8, /"Ivan" is not a valid name: a name has lowercase letters/],
  [9, /library is reserved for administrators/],
  [10, /an earlier line has alice already$/],
  [11, /not NAME:HASH$/],
] as const;

test('lists every line that cannot be imported with a remedy, and imports nothing', async (t) => {
  const { importFile, names } = await setUp(t, unsupported);
  const { exitCode, out, err } = await importFile();
  assert.deepEqual([exitCode, out], [1, '']);
  const lines = err.trimEnd().split('\n');
  assert.equal(lines[0], 'berth: nothing was imported, because of these lines:');
  for (const [i, [line, reason]] of reasons.entries()) {
    assert.match(lines[i + 1]!, new RegExp(`^ {2}line ${line}: `));
    assert.match(lines[i + 1]!, reason);
  }
  assert.deepEqual(lines.slice(-3), [
    'give these users valid names, such as: --rename Ivan=ivan --rename library=library-2',
    'only bcrypt can be imported: give these users a new password (htpasswd -B FILE NAME)',
    '--skip-unsupported leaves these lines out and imports the others',
  ]);
  assert.ok(!err.includes('canary'), 'a hash is never printed');
  assert.deepEqual(await names(), []);
});

test('--skip-unsupported skips such lines and lists them', async (t) => {
  const { importFile, names } = await setUp(t, unsupported);
  const { exitCode, out, err } = await importFile('--skip-unsupported');
  assert.deepEqual([exitCode, err], [0, '']);
  assert.match(out, /^imported 1 of 11 users\nskipped line 2: /);
  assert.deepEqual(await names(), ['alice']);
});

test('lists existing users and does not change them', async (t) => {
  const { user, importFile, open } = await setUp(t, `alice:${alice}\nbob:${bob}\n`);
  await user('create', 'alice', '--no-password', '--mail', 'alice@example.com');
  const { out } = await importFile('--json');
  assert.deepEqual(JSON.parse(out), { imported: ['bob'], existing: ['alice'], skipped: [] });
  assert.equal(
    (await importFile()).out,
    [
      'imported 0 of 2 users',
      'alice already exists and was not changed',
      'bob already exists and was not changed',
      '',
    ].join('\n'),
  );
  const database = await open();
  const found = await findUser(database.read, 'alice' as Namespace);
  await database.close();
  assert.deepEqual([found?.password, found?.mail], [null, 'alice@example.com']);
});

test('an invalid --admin cancels the whole import', async (t) => {
  const { user, importFile, names } = await setUp(t, `alice:${alice}\nbob:${bob}\n`);
  await user('create', 'bob', '--no-password');
  assert.match(
    (await importFile('--admin', 'bob')).err,
    /bob already exists, .*berth user set bob --admin$/m,
  );
  assert.match(
    (await importFile('--admin', 'carol')).err,
    /"carol" cannot be made an administrator: the file has no such/,
  );
  assert.deepEqual(await names(), ['bob']);
});

test('names a file that cannot be read', async () => {
  const { exitCode, err } = await berth('user', 'import-htpasswd', '/nowhere/htpasswd');
  assert.deepEqual([exitCode, err], [1, 'berth: /nowhere/htpasswd cannot be read: there is no such file\n']);
});

const awkward = [
  `Dev:${alice}`,
  `robot$ci:${bob}`,
  `dev@example.com:${bob}`,
  `Old:$apr1$canary$canarycanarycanary`,
  `a=b:${alice}`,
].join('\n');

test('reports an invalid name, and suggests the --rename flag for it', async (t) => {
  const { importFile, names } = await setUp(t, awkward);
  const { err } = await importFile();
  const lines = err.split('\n');
  const nameRule = /is not a valid name: a name has lowercase letters/;
  for (const [i, written] of ['"Dev"', '"robot$ci"', '"dev@example.com"', '"Old"', '"a=b"'].entries()) {
    assert.ok(lines[i + 1]?.startsWith(`  line ${i + 1}: ${written} `), err);
    assert.match(lines[i + 1] as string, nameRule);
    assert.equal(/hash/.test(lines[i + 1]!), written === '"Old"', 'an unsupported hash is reported too');
  }
  assert.equal(
    lines[6],
    "give these users valid names, such as: --rename Dev=dev --rename 'robot$ci=robot-ci' --rename dev@example.com=dev-2 --rename Old=old --rename a=b=a-b",
  );
  assert.deepEqual(await names(), []);
});

test('applies every --rename', async (t) => {
  const { importFile, names } = await setUp(t, awkward);
  const renames = ['Dev=dev', 'robot$ci=robot-ci', 'dev@example.com=dev2', 'a=b=ab'];
  const flags = renames.flatMap((rename) => ['--rename', rename]);
  const { exitCode, out, err } = await importFile(...flags, '--admin', 'dev', '--skip-unsupported');
  assert.deepEqual([exitCode, err], [0, '']);
  assert.match(out, /^imported 4 of 5 users\nskipped line 4: /);
  assert.deepEqual(await names(), ['ab', 'dev', 'dev2', 'robot-ci']);
});

for (const [what, flags, problem] of [
  [
    'a user who is not in the file',
    ['--rename', 'Carol=carol'],
    /"Carol" cannot be renamed: the file has no such user/,
  ],
  ['one without a new name', ['--rename', 'Dev='], /Expected OLD=NEW/],
  ['one without an old name', ['--rename', 'dev'], /Expected OLD=NEW/],
  ['the same user twice', ['--rename', 'Dev=a', '--rename', 'Dev=b'], /Dev is renamed twice/],
  ['two users as one', ['--rename', 'Dev=x', '--rename', 'a=b=x'], /line 5: an earlier line has x already/],
] as const) {
  test(`${what} cannot be renamed`, async (t) => {
    const { importFile } = await setUp(t, awkward);
    const { exitCode, err } = await importFile(...flags);
    assert.notEqual(exitCode, 0);
    assert.match(err, problem);
  });
}
