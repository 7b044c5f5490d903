import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { insertRow, makeOrganisation, makeRobot, makeToken, makeUser } from '../../test/support/access.ts';
import { dialects, makeRepository, type TestDialect } from '../../test/support/databases.ts';
import { claimsOfUsers } from '../administration/claim-namespace.ts';
import { findAccount } from '../db/accounts.ts';
import { system } from '../db/changes.ts';
import type { Database } from '../db/database.ts';
import { findRepositoryRow, type RepositoryRow, setVisibility } from '../db/repositories.ts';
import { insertAlias } from '../db/repository-aliases.ts';
import { allVisible } from '../db/repository-ranges.ts';
import type { Role } from '../db/schema.ts';
import { RegistryError } from '../oci/errors.ts';
import { type AccountName, parseName } from '../oci/name.ts';
import { Access, type AccessParts } from './access.ts';
import { anonymousCaller, type Caller } from './caller.ts';
import { Challenge, type TokenFault } from './challenge.ts';
import { anonymousIdentity, type Identity } from './identity.ts';
import type { Credentials } from './login/basic.ts';
import type { RegistryNeed, RepositoryNeed } from './need.ts';
import { openRegistryPermit, type Permit } from './permit.ts';
import type { Action } from './rights.ts';
import type { BearerToken } from './tokens/token-verifier.ts';

const now = 1_000;
const app = parseName('acme/app');
const base = parseName('acme/base');
const needs: readonly RepositoryNeed[] = ['pull', 'create', 'push', 'delete'];

type Settings = Partial<Pick<AccessParts, 'policy' | 'findClaims' | 'tokens' | 'logins'>>;

const noLogins: AccessParts['logins'] = {
  authenticate: () => Promise.reject(new Error('not asked for')),
};
/** Every login succeeds as this identity; credentials are recorded in `asked`. */
function logsInAs(identity: Identity, asked: [Credentials, string][]): AccessParts['logins'] {
  return {
    async authenticate(...one) {
      asked.push(one);
      return identity;
    },
  };
}

const noTokens: AccessParts['tokens'] = {
  verify() {
    throw new Error('not asked for');
  },
};

function accessTo(database: Database, settings: Settings = {}): Access {
  return new Access({
    database,
    clock: () => now,
    policy: 'public',
    findClaims: claimsOfUsers(0),
    passwordLogin: true,
    tokens: noTokens,
    logins: noLogins,
    ...settings,
  });
}

/** `acme/app` is private and `acme/base` public; alice has a role on `acme/app`, if given. */
async function setUp(t: TestContext, { role, dialect }: { role?: Role; dialect?: TestDialect } = {}) {
  const database = await (dialect ?? dialects[0]!).open(t);
  const id = await makeUser(database, 'alice');
  if (role !== undefined) {
    await insertRow(database, 'grants', { pattern: app, account_id: id, role, created_at: 1 });
  }
  const ids = { app: await makeRepository(database, app), base: await makeRepository(database, base) };
  await database.transaction((db) => setVisibility(db, ids.base, 'public'));
  return { database, ids, alice: userOf(id) };
}

function userOf(id: number, since = 100): Identity {
  return { principal: { kind: 'user', id, name: 'alice' }, credential: { kind: 'password', since } };
}

const gone = userOf(1_000_000);
const holder: Identity = { principal: { kind: 'holder', name: 'alice' }, credential: { kind: 'foreign' } };

type Entry = readonly [name: string, actions: readonly Action[], repository?: number];

function withToken(identity: Identity, entries: readonly Entry[], catalog = false): Caller {
  const granted = entries.map(([name, actions, repository]) => {
    return [name, { name: parseName(name), actions, repository }] as const;
  });
  return { identity, token: { identity, granted: new Map(granted), catalog, expires: now + 1 } };
}

const login = ['UNAUTHORIZED', undefined] as const;
const tooSmall = ['DENIED', 'insufficient_scope'] as const;
const badToken = ['UNAUTHORIZED', 'invalid_token'] as const;

/** Asserts that `act` throws or rejects with a challenge of this code and fault. */
async function assertChallenge(
  act: () => unknown,
  [code, fault]: readonly [string, TokenFault | undefined],
  what = '',
): Promise<Challenge> {
  const error = await failureOf(act);
  assert.ok(error instanceof Challenge, `${what}: ${error}`);
  assert.deepEqual([error.code, error.fault], [code, fault], what);
  return error;
}

async function failureOf(act: () => unknown): Promise<unknown> {
  try {
    await act();
  } catch (error) {
    return error;
  }
  return undefined;
}

const denied = (detail?: string) => ({ name: 'RegistryError', code: 'DENIED', detail });

async function row(database: Database, name: string): Promise<RepositoryRow> {
  return (await findRepositoryRow(database.read, parseName(name))) as RepositoryRow;
}

/** The values of a permit, without its functions. */
function plain({ principal, repository, mayCreate, mayUpdate, visible }: Permit) {
  return {
    principal,
    repository,
    mayCreate,
    mayUpdate,
    sees: visible === allVisible ? 'all' : visible.ranges,
  };
}

for (const dialect of dialects) {
  test(`${dialect.name}: a login has its account's current rights`, async (t) => {
    for (const [role, met] of [
      [undefined, []],
      ['read', ['pull']],
      ['write', ['pull', 'create', 'push']],
      ['maintain', needs],
    ] as const) {
      const { database, alice, ids } = await setUp(t, { dialect, ...(role && { role }) });
      const access = accessTo(database);
      for (const need of needs) {
        const act = async () => access.authorize({ identity: alice }, need, app);
        if (!met.includes(need as never)) {
          await assert.rejects(act(), (error) => error instanceof RegistryError && error.code === 'DENIED');
          continue;
        }
        const pushes = role !== 'read';
        assert.deepEqual(plain(await act()), {
          principal: `user:${(alice.principal as { id: number }).id}`,
          repository: ids.app,
          mayCreate: pushes,
          mayUpdate: pushes,
          sees: [],
        });
      }
    }
  });

  test(`${dialect.name}: a push to a free namespace is allowed, and only stored content creates the namespace`, async (t) => {
    const { database, alice } = await setUp(t, { dialect });
    const access = accessTo(database, { findClaims: claimsOfUsers(10) });
    const tokens = withToken(alice, [['third/app', ['push']]]);
    for (const [name, need, caller] of [
      ['first/app', 'create', { identity: alice }],
      ['second/app', 'push', { identity: alice }],
      ['third/app', 'push', tokens],
    ] as const) {
      const permit = await access.authorize(caller, need, parseName(name));
      assert.deepEqual([permit.repository, permit.mayCreate, permit.mayUpdate], [undefined, true, true]);
      const find = () => findAccount(database.read, name.split('/')[0] as AccountName);
      assert.equal(await find(), undefined);
      await assert.rejects(async () => access.authorize({ identity: alice }, 'pull', parseName(name)), {
        code: 'NAME_UNKNOWN',
      });
      await database.transaction(
        (db) => permit.claim?.make(db, system, now) ?? assert.fail('the permit has no claim'),
      );
      const account = await find();
      assert.deepEqual([account?.kind, account?.createdAt], ['organisation', now]);
      const later = await access.authorize(caller, need, parseName(name));
      assert.deepEqual([later.mayCreate, later.claim], [true, undefined]);
    }
  });
}

test('a denial names the action and the repository', async (t) => {
  const { database, alice } = await setUp(t);
  const access = accessTo(database);
  for (const [need, words] of [
    ['pull', 'you may not pull from acme/app'],
    ['create', 'you may not push to acme/app'],
    ['push', 'you may not push to acme/app'],
    ['delete', 'you may not delete in acme/app'],
  ] as const) {
    await assert.rejects(async () => access.authorize({ identity: alice }, need, app), denied(words));
  }
});

test('only a push by a user claims a namespace, and only if users may create namespaces', async (t) => {
  const { database, alice } = await setUp(t);
  const acme = await makeOrganisation(database, 'acme');
  const id = await makeRobot(database, 'acme+ci', acme);
  const robot: Identity = {
    principal: { kind: 'robot', id, name: 'acme+ci' },
    credential: { kind: 'token', id: await makeToken(database, id) },
  };
  const name = parseName('new/app');
  for (const [namespacesPerUser, need, identity] of [
    [10, 'delete', alice],
    [10, 'push', robot],
    [10, 'create', robot],
    [0, 'push', alice],
    [0, 'create', alice],
    [0, 'pull', alice],
  ] as const) {
    const access = accessTo(database, { findClaims: claimsOfUsers(namespacesPerUser) });
    await assert.rejects(async () => access.authorize({ identity }, need, name), { code: 'DENIED' });
    assert.equal(await findAccount(database.read, 'new' as AccountName), undefined);
  }
});

test('the policy decides for anonymous callers, and a denial is a challenge', async (t) => {
  const { database, ids } = await setUp(t);
  const absent = parseName('acme/absent');
  for (const [policy, pulls] of [
    ['none', []],
    ['public', [base]],
    ['pull', [app, base, absent]],
  ] as const) {
    const access = accessTo(database, { policy, findClaims: claimsOfUsers(10) });
    for (const name of [app, base, absent]) {
      for (const need of needs) {
        const act = async () => access.authorize(anonymousCaller, need, name);
        const what = `${policy}: ${need} ${name}`;
        if (need !== 'pull' || !pulls.includes(name as never)) await assertChallenge(act, login, what);
        else {
          const repository = { [app]: ids.app, [base]: ids.base }[name];
          const principal = 'anonymous';
          const expected = { principal, repository, mayCreate: false, mayUpdate: false, sees: [] };
          assert.deepEqual(plain(await act()), expected, what);
        }
      }
    }
  }
});

test('an open registry allows anonymous callers everything without rights; a login or token is still looked up', async (t) => {
  const { database, alice, ids } = await setUp(t);
  const access = accessTo(database, { policy: 'push' });
  for (const need of needs) {
    assert.equal(access.authorize(anonymousCaller, need, app, 'miss'), openRegistryPermit);
    assert.deepEqual(await access.authorize(anonymousCaller, need, app), {
      ...openRegistryPermit,
      repository: ids.app,
    });
  }
  for (const need of ['base', 'catalog'] as const) {
    assert.equal(access.authorizeRegistry(anonymousCaller, need), openRegistryPermit);
  }
  const permit = await access.authorize({ identity: alice }, 'push', app);
  assert.match(permit.principal, /^user:/);
  await assertChallenge(async () => access.authorize({ identity: gone }, 'pull', app), login);
  const token = withToken(anonymousIdentity, [[app, ['pull']]]);
  await assertChallenge(async () => access.authorize(token, 'push', app), tooSmall);
});

test('a permit of a login and a permit of a token name the caller', async (t) => {
  const { database, alice, ids } = await setUp(t, { role: 'write' });
  const access = accessTo(database);
  for (const caller of [{ identity: alice }, withToken(alice, [[app, ['*'], ids.app]], true)]) {
    for (const need of ['pull', 'push'] as const) {
      assert.equal((await access.authorize(caller, need, app)).caller, caller);
    }
    for (const need of ['base', 'catalog'] as const) {
      assert.equal((await access.authorizeRegistry(caller, need)).caller, caller);
    }
  }
});

test('credentials and tokens of a deleted account, or from before a password change, are challenged', async (t) => {
  const { database, alice } = await setUp(t, { role: 'maintain' });
  const access = accessTo(database);
  const { id } = alice.principal as { id: number };
  for (const identity of [gone, userOf(id, 99)]) {
    await assertChallenge(async () => access.authorize({ identity }, 'pull', app), login);
    await assertChallenge(async () => access.authorizeRegistry({ identity }, 'catalog'), login);
    const token = withToken(identity, [[app, ['push']]], true);
    await assertChallenge(async () => access.authorize(token, 'push', app), badToken);
    await assertChallenge(async () => access.authorizeRegistry(token, 'catalog'), badToken);
  }
});

test('a token gives the rights in it and no more, even if its owner has more rights', async (t) => {
  const { database, alice, ids } = await setUp(t, { role: 'admin' });
  const access = accessTo(database);
  const met: [Action[], RepositoryNeed[]][] = [
    [[], []],
    [['pull'], ['pull']],
    [['create'], ['create', 'push']],
    [['push'], ['create', 'push']],
    [['delete'], ['delete']],
    [
      ['pull', 'push'],
      ['pull', 'create', 'push'],
    ],
    [['*'], [...needs]],
  ];
  for (const [actions, those] of met) {
    for (const need of needs) {
      const act = async () => access.authorize(withToken(alice, [[app, actions, ids.app]]), need, app);
      const what = `${actions}: ${need}`;
      if (!those.includes(need)) await assertChallenge(act, tooSmall, what);
      else {
        const { mayCreate, mayUpdate } = await act();
        const pushes = actions.includes('push') || actions.includes('*');
        assert.deepEqual([mayCreate, mayUpdate], [pushes || actions.includes('create'), pushes], what);
      }
    }
  }
  const elsewhere = withToken(alice, [[base, ['*'], ids.base]]);
  for (const need of needs) {
    await assertChallenge(async () => access.authorize(elsewhere, need, app), tooSmall);
  }
});

test("a valid token is enough to pull; pushes and deletions read the owner's rights again", async (t) => {
  const { database, alice, ids } = await setUp(t);
  const access = accessTo(database);
  const token = (identity: Identity) => withToken(identity, [[app, ['*'], ids.app]]);
  for (const identity of [alice, gone]) {
    const permit = access.authorize(token(identity), 'pull', app, 'miss');
    assert.ok(!(permit instanceof Promise), 'no database query');
    assert.deepEqual([permit.repository, permit.mayCreate, permit.mayUpdate], [ids.app, true, true]);
  }
  for (const need of ['create', 'push', 'delete'] as const) {
    await assert.rejects(async () => access.authorize(token(alice), need, app), { code: 'DENIED' });
    await assertChallenge(async () => access.authorize(token(gone), need, app), badToken);
  }
});

test("a token issued before the repository existed pulls by its owner's current rights", async (t) => {
  const { database, alice, ids } = await setUp(t, { role: 'read' });
  const access = accessTo(database);
  const permit = await access.authorize(withToken(alice, [[app, ['*']]]), 'pull', app);
  assert.deepEqual([permit.repository, permit.mayCreate], [ids.app, false]);
  const other = parseName('other/app');
  const refused = async () => access.authorize(withToken(alice, [[other, ['*']]]), 'pull', other);
  await assert.rejects(refused, denied('you may not pull from other/app'));
  await assertChallenge(
    async () => access.authorize(withToken(anonymousIdentity, [[app, ['pull']]]), 'pull', app),
    login,
  );
});

test('a token for a deleted repository neither pushes to a new one of the same name nor creates it', async (t) => {
  const { database, alice, ids } = await setUp(t, { role: 'admin' });
  const access = accessTo(database);
  for (const need of ['create', 'push', 'delete'] as const) {
    const other = withToken(alice, [[app, ['*'], ids.app + 1]]);
    await assertChallenge(async () => access.authorize(other, need, app), badToken, need);
    await access.authorize(withToken(alice, [[app, ['*'], ids.app]]), need, app);
  }
  const absent = parseName('alice/absent');
  await access.authorize(withToken(alice, [[absent, ['push']]]), 'push', absent);
  const was = withToken(alice, [[absent, ['push'], 77]]);
  await assertChallenge(async () => access.authorize(was, 'push', absent), badToken);
});

test('a token of another token server is accepted without rights in the database', async (t) => {
  const { database } = await setUp(t);
  const access = accessTo(database, { policy: 'none' });
  const caller = withToken(holder, [[app, ['pull', 'create', 'delete']]]);
  for (const need of needs) {
    const permit = access.authorize(caller, need, app, 'miss');
    assert.ok(!(permit instanceof Promise), need);
    const expected = {
      principal: 'holder:alice',
      repository: undefined,
      mayCreate: true,
      mayUpdate: false,
      sees: [],
    };
    assert.deepEqual(plain(permit), expected);
  }
  await assertChallenge(async () => access.authorize(caller, 'pull', base), tooSmall);
  const all = access.authorizeRegistry(withToken(holder, [], true), 'catalog');
  assert.ok(!(all instanceof Promise));
  assert.deepEqual(plain(all).sees, 'all');
  await assertChallenge(async () => access.authorizeRegistry(withToken(holder, []), 'catalog'), tooSmall);
});

test('a blob is mounted only from repositories that account and token may pull', async (t) => {
  const { database, alice, ids } = await setUp(t, { role: 'write' });
  const secret = parseName('other/secret');
  const id = await makeRepository(database, secret);
  const [from, hidden] = [await row(database, base), await row(database, secret)];
  const access = accessTo(database);
  const asked = async (caller: Caller, need: RepositoryNeed = 'push') => {
    const { mayPull } = await access.authorize(caller, need, app);
    return [mayPull(from), mayPull(hidden)];
  };
  const mine: Entry = [app, ['pull', 'push'], ids.app];
  assert.deepEqual(await asked({ identity: alice }), [true, false], 'by login');
  assert.deepEqual(
    await asked(withToken(alice, [mine])),
    [false, false],
    'the token grants a right on neither',
  );
  for (const [entry, may] of [
    [[base, ['pull'], ids.base], true],
    [[base, ['pull']], true],
    [[base, ['push'], ids.base], false],
    [[base, ['pull'], ids.base + 100], false],
  ] as const) {
    assert.deepEqual(await asked(withToken(alice, [mine, entry])), [may, false], JSON.stringify(entry));
    assert.deepEqual(
      await asked(withToken(holder, [mine, entry])),
      [may, false],
      'by a token of another token server',
    );
  }
  const both = withToken(alice, [mine, [secret, ['pull'], id]]);
  assert.deepEqual(
    await asked(both),
    [false, false],
    'for a push, a right that only the token has is not enough',
  );
  assert.deepEqual(await asked(both, 'pull'), [false, true], 'a pull needs only the token');
});

test('the base endpoint needs valid credentials, except in an open registry', async (t) => {
  const { database, alice } = await setUp(t);
  for (const policy of ['none', 'public', 'pull'] as const) {
    const access = accessTo(database, { policy });
    await assertChallenge(() => access.authorizeRegistry(anonymousCaller, 'base'), login, policy);
    for (const caller of [{ identity: alice }, withToken(alice, []), withToken(anonymousIdentity, [])]) {
      const permit = access.authorizeRegistry(caller, 'base');
      assert.ok(!(permit instanceof Promise), 'no database query');
      assert.deepEqual(
        { ...plain(permit), principal: undefined },
        { principal: undefined, repository: undefined, mayCreate: false, mayUpdate: false, sees: [] },
      );
      assert.equal(permit.mayPull(await row(database, base)), false);
      assert.equal(permit.visible.matches(base, 'public'), false);
    }
  }
});

test('the catalog lists the repositories that the caller may pull', async (t) => {
  const { database, alice } = await setUp(t, { role: 'read' });
  const names = [app, base, parseName('alice/x'), parseName('other/x')];
  const seen = async (caller: Caller, settings: Settings = {}, need: RegistryNeed = 'catalog') => {
    const { visible } = await accessTo(database, settings).authorizeRegistry(caller, need);
    if (visible === allVisible) return 'all';
    return names.filter((name) => visible.matches(name, name === base ? 'public' : 'private'));
  };
  const mine = [app, base, parseName('alice/x')];
  assert.deepEqual(await seen({ identity: alice }), mine);
  assert.deepEqual(await seen(withToken(alice, [], true)), mine);
  await assertChallenge(() => seen(withToken(alice, [[app, ['*']]])), tooSmall);
  assert.deepEqual(await seen(withToken(anonymousIdentity, [], true)), [base]);
  assert.deepEqual(await seen(anonymousCaller, { policy: 'pull' }), 'all');
  assert.deepEqual(await seen({ identity: alice }, { policy: 'none' }), mine);
  for (const policy of ['none', 'public'] as const) {
    await assertChallenge(() => seen(anonymousCaller, { policy }), login, policy);
  }
});

test('the scheme Bearer is accepted in upper or lower case, and a cached token is accepted synchronously', async (t) => {
  const { database, alice } = await setUp(t);
  const token = withToken(alice, []).token as BearerToken;
  const seen: string[] = [];
  const known = accessTo(database, {
    tokens: {
      verify(text) {
        seen.push(text);
        return token;
      },
    },
  });
  for (const header of ['Bearer a.b.c', 'bearer  a.b.c ', 'BEARER a.b.c  ']) {
    assert.deepEqual(known.identify(header, '::1'), { identity: alice, token }, header);
  }
  assert.deepEqual(seen, ['a.b.c', 'a.b.c', 'a.b.c']);
  const unknown = accessTo(database, { tokens: { verify: () => Promise.resolve(token) } });
  assert.deepEqual(await unknown.identify('Bearer a.b.c', '::1'), { identity: alice, token });
});

test('an Authorization header that is neither valid Basic nor valid Bearer is challenged without checking credentials', async (t) => {
  const { database } = await setUp(t);
  const access = accessTo(database);
  for (const header of [
    '',
    'Bearer',
    'Bearer ',
    'Bearer a b',
    'xBearer a',
    'Negotiate a',
    'Basic !',
    'Basic',
  ]) {
    const { detail } = await assertChallenge(async () => access.identify(header, '::1'), login, header);
    assert.equal(detail, 'Authorization is neither Basic nor Bearer');
  }
});

test('an invalid token is challenged with its fault; internal errors are passed on', async (t) => {
  const { database } = await setUp(t);
  const wrong = new RegistryError('UNAUTHORIZED');
  const broken = new Error('the database is down');
  const wait = new RegistryError('TOOMANYREQUESTS', undefined, { retryAfter: 7 });
  const throwing = (error: unknown) => () => {
    throw error;
  };
  for (const verify of [(error: unknown) => () => Promise.reject(error), throwing]) {
    const by = (error: unknown) => {
      const access = accessTo(database, { tokens: { verify: verify(error) } });
      return async () => access.identify('Bearer a.b.c', '::1');
    };
    assert.equal((await assertChallenge(by(wrong), badToken)).cause, wrong);
    for (const error of [broken, wait]) assert.equal(await failureOf(by(error)), error);
  }
});

test('a login is checked by user name, password and client address', async (t) => {
  const { database, alice } = await setUp(t);
  const asked: [Credentials, string][] = [];
  const access = accessTo(database, {
    logins: logsInAs(alice, asked),
  });
  const basic = `Basic ${Buffer.from('alice:se:cret').toString('base64')}`;
  assert.deepEqual(await access.identify(basic, '192.0.2.1'), { identity: alice });
  assert.deepEqual(asked, [[{ username: 'alice', password: 'se:cret' }, '192.0.2.1']]);
});

test('a wrong login is challenged, a rate-limited one gets TOOMANYREQUESTS, and internal errors are passed on', async (t) => {
  const { database } = await setUp(t);
  const by = (error: unknown) => {
    const access = accessTo(database, { logins: { authenticate: () => Promise.reject(error) } });
    return async () => access.identify(`Basic ${btoa('alice:secret')}`, '::1');
  };
  const wrong = new RegistryError('UNAUTHORIZED');
  assert.equal((await assertChallenge(by(wrong), login)).cause, wrong);
  for (const error of [new Error('down'), new RegistryError('TOOMANYREQUESTS')]) {
    assert.equal(await failureOf(by(error)), error);
  }
});

test('administrators are accepted only with credentials without scopes', async (t) => {
  const { database, alice } = await setUp(t, { role: 'admin' });
  const id = await makeUser(database, 'root', { administrator: 1 });
  const byToken = async (scopes: string): Promise<Identity> => ({
    principal: { kind: 'user', id, name: 'root' },
    credential: { kind: 'token', id: await makeToken(database, id, { scopes }) },
  });
  const asked: [Credentials, string][] = [];
  const check = (identity: Identity) =>
    accessTo(database, {
      logins: logsInAs(identity, asked),
    }).checkAdministrator(`Basic ${btoa('root:secret')}`, '192.0.2.1');
  await check(userOf(id));
  await check(await byToken(''));
  assert.deepEqual(asked[0], [{ username: 'root', password: 'secret' }, '192.0.2.1']);
  for (const identity of [alice, gone, anonymousIdentity, await byToken('repository:**:*')]) {
    await assert.rejects(check(identity), denied());
  }
  for (const header of [undefined, '', 'Bearer a.b.c']) {
    const refused = { name: 'RegistryError', code: 'UNAUTHORIZED' };
    await assert.rejects(accessTo(database).checkAdministrator(header, '::1'), refused);
  }
});

const old = parseName('acme/old');
const alias = { name: app, until: now + 1 };

/** As {@link setUp}, where `acme/old` is an alias of `acme/app`. */
async function setUpAlias(t: TestContext, given: Parameters<typeof setUp>[1] = {}) {
  const made = await setUp(t, given);
  const row = { name: old, repository: made.ids.app, expiresAt: alias.until };
  await made.database.transaction((db) => insertAlias(db, row, 1));
  return made;
}

for (const dialect of dialects) {
  test(`${dialect.name}: under an alias the rights are those under the repository's name`, async (t) => {
    const { database, alice, ids } = await setUpAlias(t, { dialect, role: 'read' });
    const access = accessTo(database);
    const own = withToken(alice, [[old, ['pull', 'push'], ids.app]]);
    for (const caller of [{ identity: alice }, own, withToken(alice, [[old, ['pull', 'push']]])]) {
      const permit = await access.authorize(caller, 'pull', old);
      assert.deepEqual([permit.repository, permit.alias, permit.mayCreate], [ids.app, alias, false]);
      const push = async () => access.authorize(caller, 'push', old);
      await assert.rejects(push, denied('you may not push to acme/app'));
    }
    assert.equal((await access.authorize({ identity: alice }, 'pull', app)).alias, undefined);
  });
}

test('a permit that a token gave without a query is completed when no repository has the name', async (t) => {
  const { database, alice, ids } = await setUpAlias(t, { role: 'read' });
  const access = accessTo(database);
  const caller = withToken(alice, [[old, ['pull'], ids.app]]);
  const permit = access.authorize(caller, 'pull', old, 'miss');
  assert.ok(!(permit instanceof Promise), 'no database query');
  assert.equal(permit.alias, undefined);
  const found = await access.authorizeAlias(caller, 'pull', old);
  assert.deepEqual([found?.repository, found?.alias], [ids.app, alias]);
  for (const name of [app, parseName('acme/absent')]) {
    assert.equal(await access.authorizeAlias(caller, 'pull', name), undefined);
  }
  const elsewhere = withToken(alice, [[old, ['pull'], ids.base]]);
  await assertChallenge(async () => access.authorizeAlias(elsewhere, 'pull', old), badToken);
});

test('an alias of a repository that the caller may not pull is like a free name', async (t) => {
  const { database, alice, ids } = await setUpAlias(t);
  const id = (alice.principal as { id: number }).id;
  // The rights under the former name, and a right to push alone under the new one.
  await insertRow(database, 'grants', { pattern: old, account_id: id, role: 'write', created_at: 1 });
  const access = accessTo(database);
  const permit = await access.authorize({ identity: alice }, 'push', old);
  assert.deepEqual([permit.repository, permit.alias, permit.mayCreate], [undefined, undefined, true]);
  const caller = withToken(alice, [[old, ['pull', 'push'], ids.app]]);
  await assertChallenge(async () => access.authorize(caller, 'push', old), badToken);
  await assertChallenge(async () => access.authorizeAlias(caller, 'pull', old), badToken);
});

test('an alias does not widen the scopes of an access token', async (t) => {
  const { database, alice } = await setUpAlias(t, { role: 'write' });
  const { id } = alice.principal as { id: number };
  const access = accessTo(database);
  for (const [scopes, allowed] of [
    ['repository:acme/old:pull', false],
    ['repository:acme/app:pull', true],
  ] as const) {
    const token = await makeToken(database, id, { name: scopes, scopes });
    const identity: Identity = { ...alice, credential: { kind: 'token', id: token } };
    const act = async () => access.authorize({ identity }, 'pull', old);
    if (allowed) assert.deepEqual((await act()).alias, alias);
    else await assert.rejects(act, denied('you may not pull from acme/old'));
  }
});

test('an alias works with a token of another token server only if that token names the repository', async (t) => {
  const { database, ids } = await setUpAlias(t);
  const access = accessTo(database, { policy: 'none' });
  const both = withToken(holder, [
    [old, ['*']],
    [app, ['pull']],
  ]);
  const found = await access.authorizeAlias(both, 'pull', old);
  assert.deepEqual([found?.repository, found?.alias, found?.mayCreate], [ids.app, alias, false]);
  assert.equal(
    (await access.authorize(both, 'push', old)).alias,
    undefined,
    'a push under the new name needs its right',
  );
  const one = withToken(holder, [[old, ['*']]]);
  assert.equal(await access.authorizeAlias(one, 'pull', old), undefined);
});

test('in an open registry an alias works for anonymous callers', async (t) => {
  const { database, ids } = await setUpAlias(t);
  const access = accessTo(database, { policy: 'push' });
  const expected = { ...openRegistryPermit, repository: ids.app, alias };
  assert.deepEqual(await access.authorize(anonymousCaller, 'push', old), expected);
  assert.deepEqual(await access.authorizeAlias(anonymousCaller, 'pull', old), expected);
});

test('a blob is mounted from an alias by a token that names the alias', async (t) => {
  const { database, alice, ids } = await setUpAlias(t, { role: 'write' });
  const access = accessTo(database);
  const from = await row(database, app);
  const mine = 'alice/app';
  for (const [entries, allowed] of [
    [
      [
        [mine, ['push']],
        [old, ['pull'], ids.app],
      ],
      true,
    ],
    [
      [
        [mine, ['push']],
        [old, ['pull'], ids.base],
      ],
      false,
    ],
    [
      [
        [mine, ['push']],
        [app, ['pull'], ids.app],
      ],
      false,
    ],
  ] as [Entry[], boolean][]) {
    const { mayPull } = await access.authorize(withToken(alice, entries), 'create', parseName(mine));
    assert.equal(mayPull(from, old), allowed);
  }
});

test('a push under an alias in a free namespace does not create the namespace', async (t) => {
  const { database, alice, ids } = await setUp(t, { role: 'read' });
  const former = parseName('free/app');
  const row = { name: former, repository: ids.app, expiresAt: now + 1 };
  await database.transaction((db) => insertAlias(db, row, 1));
  const access = accessTo(database, { findClaims: claimsOfUsers(10) });
  const push = async (name: string) => access.authorize({ identity: alice }, 'push', parseName(name));
  await assert.rejects(push(former), denied('you may not push to acme/app'));
  assert.ok((await push('free/other')).claim);
});
