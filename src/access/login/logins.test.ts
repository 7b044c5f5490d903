import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { hash as bcrypt } from '@node-rs/bcrypt';
import { dialects, makeOrganisation, makeUser } from '../../../test/support/databases.ts';
import { insertAccount, setDisabled } from '../../db/accounts.ts';
import type { Database } from '../../db/database.ts';
import { findUserById, setPassword, updateUser } from '../../db/users.ts';
import { RegistryError } from '../../oci/errors.ts';
import type { AccountName } from '../../oci/name.ts';
import type { Identity } from '../identity.ts';
import { makeAccessToken } from './access-token.ts';
import { HashQueue } from './hash-queue.ts';
import { Logins, type LoginsParts } from './logins.ts';
import { hashPassword, needsRehash } from './passwords.ts';

const password = 'correct horse';
const { token, hash: tokenHash } = makeAccessToken();
const minute = 60_000;
const here = '192.0.2.1';

/** Records the addresses under which password hashes were queued. */
class CountingQueue extends HashQueue {
  readonly lines: string[] = [];

  get hashes(): number {
    return this.lines.length;
  }

  override run<T>(address: string, work: () => Promise<T>): Promise<T> {
    return super.run(address, () => {
      this.lines.push(address);
      return work();
    });
  }
}

async function setUp(
  t: TestContext,
  open: (t: TestContext) => Promise<Database>,
  parts?: Partial<LoginsParts>,
) {
  const database = await open(t);
  const time = { now: Date.now() };
  const queue = new CountingQueue();
  const logins = new Logins({
    database,
    clock: () => time.now,
    passwordLogin: true,
    perAddress: 30,
    perAccount: 10,
    queue,
    ...parts,
  });
  const id = await makeUser(database, 'alice');
  await database.transaction(async (db) => setPassword(db, id, await hashPassword(password), time.now));
  const logIn = (username: string, password: string, address = here): Promise<Identity> =>
    logins.authenticate({ username, password }, address);
  /** The error or identity, and the number of hashes. */
  const outcome = async (username: string, password: string, address = here) => {
    const before = queue.hashes;
    const said = await logIn(username, password, address).then(
      ({ principal }) => principal,
      (error: RegistryError) => [error.code, error.detail, error.retryAfter],
    );
    return { said, hashes: queue.hashes - before };
  };
  const since = (await findUserById(database.read, id))?.passwordChangedAt as number;
  return { database, time, queue, logins, id, since, logIn, outcome };
}

async function makeToken(
  database: Database,
  accountId: number,
  fields: { expires_at?: number; revoked_at?: number } = {},
): Promise<number> {
  const values = {
    account_id: accountId,
    name: 'laptop',
    hash: tokenHash,
    scopes: '',
    created_at: 1,
    ...fields,
  };
  return database.transaction(async (db) => {
    const row = await db.insertInto('access_tokens').values(values).returning('id').executeTakeFirstOrThrow();
    return row.id;
  });
}

async function makeRobot(database: Database, owner: number, name: string): Promise<number> {
  const robot = { name: name as AccountName, kind: 'robot', ownerId: owner } as const;
  return (await database.transaction((db) => insertAccount(db, robot, 1))) as number;
}

const disable = (database: Database, id: number) => database.transaction((db) => setDisabled(db, id, 1));
const unauthorized = ['UNAUTHORIZED', undefined, undefined];

for (const { name: dialect, open } of dialects) {
  test(`${dialect}: a user logs in with the password`, async (t) => {
    const { id, since, logIn } = await setUp(t, open);
    assert.deepEqual(await logIn('alice', password), {
      principal: { kind: 'user', id, name: 'alice' },
      credential: { kind: 'password', since },
    });
  });

  test(`${dialect}: every failed password login has the same answer and the same cost`, async (t) => {
    const { database, outcome, time } = await setUp(t, open, { perAddress: 1000 });
    const hash = await hashPassword(password);
    const add = async (name: string, hash: string | null): Promise<number> => {
      const id = await makeUser(database, name);
      await database.transaction((db) => setPassword(db, id, hash, time.now));
      return id;
    };
    await disable(database, await add('disabled', hash));
    await add('without', null);
    await add('broken', 'no hash');
    const tokenOnly = await add('careful', hash);
    await database.transaction((db) => updateUser(db, tokenOnly, { tokenOnly: true }));
    const organisation = await makeOrganisation(database, 'acme');
    await makeRobot(database, organisation, 'acme+ci');
    for (const [name, text] of [
      ['alice', 'wrong'],
      ['alice', ''],
      ['alice', `${password}\0`],
      ['ALICE', password],
      ['alice ', password],
      ['nobody', password],
      ['', password],
      ["' or 1=1 --", password],
      ['x'.repeat(10_000), password],
      ['disabled', password],
      ['without', password],
      ['without', ''],
      ['broken', 'no hash'],
      ['careful', 'wrong'],
      ['acme', password],
      ['acme+ci', password],
      ['alice', 'x'.repeat(10_000)],
      ['alice', 'eyJhbGciOi.J9.c2ln'],
    ] as const) {
      assert.deepEqual(await outcome(name, text), { said: unauthorized, hashes: 1 }, `${name}: ${text}`);
    }
  });

  test(`${dialect}: a user who has to use a token gets that hint only for the right password`, async (t) => {
    const { database, id, outcome } = await setUp(t, open);
    await database.transaction((db) => updateUser(db, id, { tokenOnly: true }));
    const needsToken = [
      'UNAUTHORIZED',
      'this user has to log in with an access token, not with the password',
      undefined,
    ];
    assert.deepEqual((await outcome('alice', password)).said, needsToken);
    assert.deepEqual((await outcome('alice', 'wrong')).said, unauthorized);
  });

  test(`${dialect}: a right password gets a hint if passwords are not accepted`, async (t) => {
    const { outcome } = await setUp(t, open, { passwordLogin: false });
    const { said } = await outcome('alice', password);
    assert.deepEqual(said, [
      'UNAUTHORIZED',
      'passwords are not accepted: log in with an access token',
      undefined,
    ]);
    assert.deepEqual(await outcome('alice', 'wrong'), { said: unauthorized, hashes: 1 });
    assert.deepEqual(await outcome('nobody', password), { said: unauthorized, hashes: 1 });
  });

  test(`${dialect}: an access token authenticates its own user or robot, without a hash`, async (t) => {
    const { database, id, outcome } = await setUp(t, open);
    await makeToken(database, id);
    assert.deepEqual(await outcome('alice', token), { said: { kind: 'user', id, name: 'alice' }, hashes: 0 });
    for (const name of ['bob', '', 'ALICE', 'alice ']) {
      assert.deepEqual(await outcome(name, token), { said: unauthorized, hashes: 0 });
    }
    assert.deepEqual(await outcome('alice', makeAccessToken().token), { said: unauthorized, hashes: 0 });
  });

  test(`${dialect}: a robot's identity names the token used`, async (t) => {
    const { database, logIn } = await setUp(t, open);
    const robot = await makeRobot(database, await makeOrganisation(database, 'acme'), 'acme+ci');
    const id = await makeToken(database, robot);
    assert.deepEqual(await logIn('acme+ci', token), {
      principal: { kind: 'robot', id: robot, name: 'acme+ci' },
      credential: { kind: 'token', id },
    });
  });

  test(`${dialect}: a token is invalid once expired or revoked, or when its account or the robot's owner is disabled`, async (t) => {
    for (const [what, end] of [
      ['expired', async (_: Database, time: { now: number }) => ({ expires_at: time.now })],
      ['revoked', async () => ({ revoked_at: 1 })],
      [
        'its robot is disabled',
        async (database: Database, _: unknown, robot: number) => {
          await disable(database, robot);
          return {};
        },
      ],
      [
        'it belongs to an organisation, which cannot log in',
        async (database: Database, _: unknown, robot: number) => {
          await database.transaction((db) =>
            db
              .updateTable('accounts')
              .set({ kind: 'organisation', owner_id: null })
              .where('id', '=', robot)
              .execute(),
          );
          return {};
        },
      ],
      [
        'the owner is disabled',
        async (database: Database, _: unknown, _robot: number, owner: number) => {
          await disable(database, owner);
          return {};
        },
      ],
    ] as const) {
      await t.test(what, async (t) => {
        const { database, time, outcome } = await setUp(t, open);
        const owner = await makeOrganisation(database, 'acme');
        const robot = await makeRobot(database, owner, 'acme+ci');
        await makeToken(database, robot, await end(database, time, robot, owner));
        assert.deepEqual((await outcome('acme+ci', token)).said, unauthorized);
      });
    }
  });

  test(`${dialect}: a token's last use is recorded with time and address, once a minute`, async (t) => {
    const { database, id, time, logins, logIn } = await setUp(t, open);
    await makeToken(database, id);
    const noted = async () => {
      await logins.settled();
      const row = await database.read
        .selectFrom('access_tokens')
        .select(['last_used_at as at', 'last_used_from as from'])
        .executeTakeFirstOrThrow();
      return [row.at, row.from];
    };
    const start = time.now;
    await logIn('alice', token, here);
    assert.deepEqual(await noted(), [start, here]);
    time.now += minute - 1;
    await logIn('alice', token, '192.0.2.2');
    assert.deepEqual(await noted(), [start, here]);
    time.now += 1;
    await logIn('alice', token, '192.0.2.2');
    assert.deepEqual(await noted(), [start + minute, '192.0.2.2']);
    await assert.rejects(logIn('bob', token), { code: 'UNAUTHORIZED' });
    assert.deepEqual(
      await noted(),
      [start + minute, '192.0.2.2'],
      'a refused login is not recorded as a use',
    );
  });

  test(`${dialect}: an imported bcrypt hash becomes argon2id at the first login, and earlier logins stay valid`, async (t) => {
    const { database, id, since, queue, logins, logIn } = await setUp(t, open);
    await database.transaction(async (db) =>
      db
        .updateTable('users')
        .set({ password: await bcrypt(password, 4) })
        .execute(),
    );
    await assert.rejects(logIn('alice', 'wrong'));
    await logins.settled();
    assert.match((await findUserById(database.read, id))?.password as string, /^\$2b\$/);
    assert.deepEqual((await logIn('alice', password)).credential, { kind: 'password', since });
    await logins.settled();
    assert.deepEqual(queue.lines, [here, here, `rehash ${id}`], 'the rehash delays no login');
    const user = await findUserById(database.read, id);
    assert.equal(needsRehash(user?.password as string), false);
    assert.equal(user?.passwordChangedAt, since);
    assert.deepEqual((await logIn('alice', password)).credential, { kind: 'password', since });
  });

  test(`${dialect}: a new password ends the cached check of the old one`, async (t) => {
    const { database, id, time, outcome } = await setUp(t, open);
    await outcome('alice', password);
    assert.equal((await outcome('alice', password)).hashes, 0);
    await database.transaction(async (db) => setPassword(db, id, await hashPassword('another'), time.now));
    assert.deepEqual(await outcome('alice', password), { said: unauthorized, hashes: 1 });
  });
}

const { open } = dialects[0] as (typeof dialects)[0];

test('a right password is checked once a minute; a disabled user is still refused at once', async (t) => {
  const { database, id, time, outcome } = await setUp(t, open);
  assert.equal((await outcome('alice', password)).hashes, 1);
  time.now += minute - 1;
  assert.equal((await outcome('alice', password, '192.0.2.9')).hashes, 0);
  time.now += 1;
  assert.equal((await outcome('alice', password)).hashes, 1);
  await disable(database, id);
  assert.deepEqual((await outcome('alice', password)).said, unauthorized);
});

test('a hash of the current kind and cost is not replaced', async (t) => {
  const { queue, logins, logIn } = await setUp(t, open);
  await logIn('alice', password);
  await logins.settled();
  assert.deepEqual(queue.lines, [here]);
});

test('concurrent logins with the same password cause one check', async (t) => {
  const { queue, logIn } = await setUp(t, open);
  const all = await Promise.all(Array.from({ length: 200 }, () => logIn('alice', password)));
  assert.equal(all.length, 200);
  assert.equal(queue.hashes, 1);
});

test('the same wrong password for two names counts as a failure of each', async (t) => {
  const { queue, logIn, outcome } = await setUp(t, open, { perAccount: 1 });
  await Promise.allSettled([logIn('nobody', 'x'), logIn('no-one', 'x')]);
  assert.equal(queue.hashes, 2);
  for (const name of ['nobody', 'no-one']) assert.equal((await outcome(name, 'y')).hashes, 0, name);
});

test("names longer than any account's count as one if the first 300 characters agree", async (t) => {
  const { outcome } = await setUp(t, open, { perAccount: 1 });
  const begin = 'x'.repeat(300);
  await outcome(`${begin}a`, 'x');
  assert.equal((await outcome(`${begin}b`, 'x')).hashes, 0);
  assert.equal((await outcome(begin.slice(1), 'x')).hashes, 1);
});

test('after too many wrong passwords an address has to wait, under any name; other addresses do not', async (t) => {
  const { time, outcome } = await setUp(t, open, { perAddress: 3 });
  for (const name of ['a', 'b', 'c']) assert.deepEqual((await outcome(name, 'x')).said, unauthorized);
  assert.deepEqual(await outcome('alice', password), {
    said: ['TOOMANYREQUESTS', 'too many wrong passwords', 20],
    hashes: 0,
  });
  assert.deepEqual((await outcome('d', 'x', '192.0.2.2')).said, unauthorized);
  time.now += 20_000;
  assert.equal((await outcome('alice', password)).hashes, 1);
});

test('addresses of one IPv6 /64 count as one', async (t) => {
  const { outcome } = await setUp(t, open, { perAddress: 2 });
  await outcome('a', 'x', '2001:db8:1:2::1');
  await outcome('b', 'x', '2001:db8:1:2::2');
  assert.equal((await outcome('c', 'x', '2001:db8:1:2:ffff::3')).hashes, 0);
  assert.equal((await outcome('c', 'x', '2001:db8:1:3::1')).hashes, 1);
});

test('after too many wrong passwords an account has to wait, even if it does not exist', async (t) => {
  const { outcome } = await setUp(t, open, { perAccount: 2 });
  const limited = { said: ['TOOMANYREQUESTS', 'too many wrong passwords', 30], hashes: 0 };
  for (const name of ['alice', 'nobody', 'acme+nobody']) {
    await outcome(name, 'x', '192.0.2.1');
    await outcome(name, 'y', '192.0.2.2');
    assert.deepEqual(await outcome(name, 'z', '192.0.2.3'), limited, name);
  }
});

test('a cached right password and a token are not refused for other failures', async (t) => {
  const { database, id, outcome } = await setUp(t, open, { perAccount: 2, perAddress: 2 });
  await makeToken(database, id);
  assert.equal((await outcome('alice', password)).hashes, 1);
  for (const text of ['x', 'y', 'z']) await outcome('alice', text, here);
  assert.equal((await outcome('alice', 'x', here)).hashes, 0, 'both limits are reached');
  assert.deepEqual(await outcome('alice', password), {
    said: { kind: 'user', id, name: 'alice' },
    hashes: 0,
  });
  assert.deepEqual(await outcome('alice', token), { said: { kind: 'user', id, name: 'alice' }, hashes: 0 });
});

test('right passwords are not limited', async (t) => {
  const { database, time, outcome } = await setUp(t, open, { perAddress: 2, perAccount: 2 });
  const hash = await hashPassword(password);
  for (const name of ['b', 'c', 'd']) {
    const id = await makeUser(database, name);
    await database.transaction((db) => setPassword(db, id, hash, time.now));
    const { said, hashes } = await outcome(name, password);
    assert.deepEqual([said, hashes], [{ kind: 'user', id, name }, 1]);
  }
});

test('a flood of logins hashes only as many passwords as an address may fail', async (t) => {
  const { logIn } = await setUp(t, open, { perAddress: 3, perAccount: 1000 });
  const flood = Array.from({ length: 500 }, (_, i) => logIn(`user${i}`, 'x'));
  const codes = (await Promise.allSettled(flood)).map((result) =>
    result.status === 'rejected' ? (result.reason as RegistryError).code : 'in',
  );
  const count = (code: string) => codes.filter((one) => one === code).length;
  assert.equal(count('UNAUTHORIZED'), 3);
  assert.equal(count('UNAUTHORIZED') + count('TOOMANYREQUESTS') + count('UNAVAILABLE'), 500);
});

test('an ID token is passed on with the organisation, without a hash', async (t) => {
  const asked: string[][] = [];
  const job: Identity = {
    principal: { kind: 'job', trust: 1, subject: 'repo:acme/app', name: 'acme/ci' },
    credential: { kind: 'id-token', trust: 1, since: 1, terms: 1 },
  };
  const idTokens = {
    async authenticate(organisation: string, idToken: string) {
      asked.push([organisation, idToken]);
      if (organisation !== 'acme') throw new RegistryError('UNAUTHORIZED');
      return job;
    },
  };
  const { logIn, outcome } = await setUp(t, open, { idTokens });
  assert.equal(await logIn('acme', 'eyJhbGciOi.J9-_.c2ln'), job);
  assert.deepEqual(await outcome('other', 'eyJhbGciOi.J9.c2ln'), { said: unauthorized, hashes: 0 });
  assert.deepEqual(asked, [
    ['acme', 'eyJhbGciOi.J9-_.c2ln'],
    ['other', 'eyJhbGciOi.J9.c2ln'],
  ]);
  for (const text of [
    'eyJhbGciOi.J9',
    'xeyJhbGciOi.J9.c2ln',
    'eyJhbGciOi.J9.c2.ln',
    'eyJhbGciOi.J9.c2ln=',
    'hunter2',
  ]) {
    assert.equal((await outcome('acme', text)).hashes, 1, text);
  }
  assert.equal(asked.length, 2);
});

test('a token in steady use is recorded once a minute, without waiting for the disk', async (t) => {
  const database = await open(t);
  const writes: unknown[] = [];
  const watched: Database = {
    ...database,
    read: database.read,
    transaction: (work, options) => {
      writes.push(options);
      return database.transaction(work, options);
    },
  };
  const { id, time, logins, logIn } = await setUp(t, async () => watched);
  await makeToken(database, id);
  writes.length = 0;
  for (const [later, written] of [
    [0, 1],
    [minute - 1, 1],
    [1, 2],
  ] as const) {
    time.now += later;
    await logIn('alice', token);
    await logins.settled();
    assert.equal(writes.length, written);
  }
  assert.deepEqual(writes, [{ durable: false }, { durable: false }]);
});

test('of concurrent uses the first is recorded', async (t) => {
  const { database, id, logins, logIn } = await setUp(t, open);
  await makeToken(database, id);
  await Promise.all([logIn('alice', token, here), logIn('alice', token, '192.0.2.2')]);
  await logins.settled();
  const noted = database.read.selectFrom('access_tokens').select('last_used_from as from');
  assert.equal((await noted.executeTakeFirst())?.from, here);
});

test('a login succeeds even if its use cannot be recorded', async (t) => {
  const database = await open(t);
  const refusing: Database = {
    ...database,
    read: database.read,
    transaction: () => Promise.reject(new Error('read-only')),
  };
  const id = await makeUser(database, 'alice');
  await makeToken(database, id);
  const parts = { database: refusing, clock: Date.now, passwordLogin: true, perAddress: 1, perAccount: 1 };
  const logins = new Logins(parts);
  await logins.authenticate({ username: 'alice', password: token }, here);
  await logins.settled();
});
