import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Updateable } from 'kysely';
import { insertLink, insertRow, makeRobot, makeToken } from '../../test/support/access.ts';
import { dialects, makeOrganisation, makeUser } from '../../test/support/databases.ts';
import type { Database } from '../db/database.ts';
import type { Schema, Visibility } from '../db/schema.ts';
import { parseName } from '../oci/name.ts';
import { type Entitlements, loadEntitlements, rightsOn } from './entitlements.ts';
import { anonymousIdentity, type Credential, type Identity } from './identity.ts';
import { asPattern, type Pattern } from './pattern.ts';
import type { AnonymousAccess } from './policy.ts';
import { allRights, type Right } from './rights.ts';
import { parseScope, type Scope } from './scope.ts';

const now = 1_000;
const moment = { now, passwordLogin: true };

function user(id: number, credential: Credential = { kind: 'password', since: 1 }): Identity {
  return { principal: { kind: 'user', id, name: 'whoever' }, credential };
}

function robot(id: number, token: number): Identity {
  return { principal: { kind: 'robot', id, name: 'whoever' }, credential: { kind: 'token', id: token } };
}

function job(trust: number, credential: Credential): Identity {
  return { principal: { kind: 'job', trust, subject: 'repo:acme/app', name: 'acme/app' }, credential };
}

/** The rights of an identity, as text. */
async function held(database: Database, identity: Identity, at = now): Promise<string[] | undefined> {
  const entitlements = await loadEntitlements(database.read, identity, { now: at, passwordLogin: true });
  return entitlements?.grants.map(({ pattern, rights }) => `${pattern} ${[...rights].sort().join()}`).sort();
}

function update<T extends 'accounts' | 'users' | 'access_tokens' | 'trusts'>(
  database: Database,
  table: T,
  key: 'id' | 'account_id',
  id: number,
  set: Updateable<Schema[T]>,
): Promise<unknown> {
  return database.transaction((db) =>
    db
      .updateTable(table as 'accounts')
      .set(set as never)
      .where(key as 'id', '=', id)
      .execute(),
  );
}

const read = 'pull';
const write = 'create,pull,update';
const admin = 'create,delete,members,pull,settings,update';

for (const { name, open } of dialects) {
  test(`${name}: a user has rights from their own namespace, memberships, grants and teams`, async (t) => {
    const database = await open(t);
    const alice = await makeUser(database, 'alice');
    const bob = await makeUser(database, 'bob');
    assert.deepEqual(await held(database, user(alice)), [`alice/** ${admin}`]);

    const acme = await makeOrganisation(database, 'acme');
    const other = await makeOrganisation(database, 'other');
    await insertLink(database, 'members', { organisation_id: acme, account_id: alice, role: 'read' });
    await insertLink(database, 'members', { organisation_id: other, account_id: alice, role: 'none' });
    const team = await insertRow(database, 'teams', { organisation_id: other, name: 'dev', created_at: 1 });
    // A second membership, from the sign-on provider.
    for (const source of ['local', 'sso'] as const) {
      await insertLink(database, 'team_members', { team_id: team, account_id: alice, source });
    }
    const grant = { role: 'write', created_at: 1 } as const;
    await insertRow(database, 'grants', { ...grant, pattern: 'other/app', team_id: team });
    await insertRow(database, 'grants', { ...grant, pattern: 'library/nginx', account_id: alice });
    await insertRow(database, 'grants', { ...grant, pattern: 'bob/**', account_id: bob });

    const all = [`acme/** ${read}`, `alice/** ${admin}`, `library/nginx ${write}`, `other/app ${write}`];
    assert.deepEqual(await held(database, user(alice)), all);
    assert.deepEqual(await held(database, user(bob)), [`bob/** ${admin}`, `bob/** ${write}`]);

    await update(database, 'accounts', 'id', other, { disabled_at: 5 });
    assert.deepEqual(
      await held(database, user(alice)),
      all.slice(0, 3),
      'teams of a disabled organisation give no rights',
    );
    await update(database, 'accounts', 'id', acme, { disabled_at: 5 });
    assert.deepEqual(
      await held(database, user(alice)),
      all.slice(1, 3),
      'a disabled organisation gives its members nothing',
    );
  });

  test(`${name}: only administrators have administrator rights`, async (t) => {
    const database = await open(t);
    const root = await makeUser(database, 'root');
    await update(database, 'users', 'account_id', root, { administrator: 1 });
    const alice = await makeUser(database, 'alice');
    assert.equal((await loadEntitlements(database.read, user(root), moment))?.administrator, true);
    assert.equal((await loadEntitlements(database.read, user(alice), moment))?.administrator, false);
  });

  test(`${name}: an authenticated user is not anonymous`, async (t) => {
    const database = await open(t);
    const acme = await makeOrganisation(database, 'acme');
    const deploy = await makeRobot(database, 'acme+deploy', acme);
    for (const identity of [
      user(await makeUser(database, 'alice')),
      robot(deploy, await makeToken(database, deploy)),
    ]) {
      assert.equal((await loadEntitlements(database.read, identity, moment))?.anonymous, false);
    }
  });

  test(`${name}: a deleted or disabled user, or one with a changed password, has no entitlements`, async (t) => {
    const database = await open(t);
    const alice = await makeUser(database, 'alice');
    const acme = await makeOrganisation(database, 'acme');
    assert.ok(await held(database, user(alice)));
    assert.equal(await held(database, user(alice + acme)), undefined, 'no such account');
    assert.equal(await held(database, user(acme)), undefined, 'an organisation cannot log in');
    assert.equal(
      await held(database, robot(alice, await makeToken(database, alice))),
      undefined,
      'a user is no robot',
    );
    for (const since of [0, 2]) {
      assert.equal(await held(database, user(alice, { kind: 'password', since })), undefined);
    }
    for (const credential of [
      { kind: 'none' },
      { kind: 'foreign' },
      { kind: 'id-token', trust: 1, since: 1, terms: 1 },
    ] as const) {
      assert.equal(await held(database, user(alice, credential)), undefined, credential.kind);
    }
    await update(database, 'accounts', 'id', alice, { disabled_at: 5 });
    assert.equal(await held(database, user(alice)), undefined);
    await update(database, 'accounts', 'id', alice, { disabled_at: null });
    await update(database, 'users', 'account_id', alice, { password_changed_at: 2 });
    assert.equal(await held(database, user(alice)), undefined);
    const since2 = user(alice, { kind: 'password', since: 2 });
    assert.ok(await held(database, since2));
    await update(database, 'users', 'account_id', alice, { token_only: 1 });
    assert.equal(await held(database, since2), undefined, 'a token-only user cannot use the password');
  });

  test(`${name}: an access token is valid for its own account until it expires or is revoked`, async (t) => {
    const database = await open(t);
    const alice = await makeUser(database, 'alice');
    const bob = await makeUser(database, 'bob');
    const token = await makeToken(database, alice, { expires_at: now });
    const withToken = (id: number, account = alice) => user(account, { kind: 'token', id });
    assert.ok(await held(database, withToken(token), now - 1));
    assert.equal(await held(database, withToken(token), now), undefined, 'the token has expired');
    assert.equal(await held(database, withToken(token, bob), now - 1), undefined, "it is not bob's");
    assert.equal(await held(database, withToken(token + 1), now - 1), undefined, 'no token has this id');
    await update(database, 'access_tokens', 'id', token, { expires_at: null });
    assert.ok(await held(database, withToken(token), Number.MAX_SAFE_INTEGER));
    await update(database, 'users', 'account_id', alice, { password_changed_at: 2 });
    await update(database, 'users', 'account_id', alice, { token_only: 1 });
    assert.ok(await held(database, withToken(token)), 'the password does not affect the token');
    await update(database, 'access_tokens', 'id', token, { revoked_at: now });
    assert.equal(await held(database, withToken(token)), undefined);
  });

  test(`${name}: an access token is limited by its scopes, if it has any`, async (t) => {
    const database = await open(t);
    const alice = await makeUser(database, 'alice');
    const scopes = 'repository:alice/*:pull repository:acme/app:pull,push';
    const scoped = await makeToken(database, alice, { scopes });
    const whole = await makeToken(database, alice);
    const scopesOf = async (credential: Credential) =>
      (await loadEntitlements(database.read, user(alice, credential), moment))?.scopes;
    assert.deepEqual(await scopesOf({ kind: 'token', id: scoped }), [
      { pattern: 'alice/*', actions: ['pull'] },
      { pattern: 'acme/app', actions: ['pull', 'push'] },
    ]);
    assert.equal(await scopesOf({ kind: 'token', id: whole }), undefined);
    assert.equal(await scopesOf({ kind: 'password', since: 1 }), undefined);
    const password = { kind: 'password', since: 1, id: scoped } as const;
    assert.equal(await scopesOf(password), undefined, 'an id in a password credential is ignored');
  });

  test(`${name}: a robot has only its grants, while its namespace is not disabled`, async (t) => {
    const database = await open(t);
    const acme = await makeOrganisation(database, 'acme');
    const deploy = await makeRobot(database, 'acme+deploy', acme);
    const token = await makeToken(database, deploy);
    assert.deepEqual(await held(database, robot(deploy, token)), []);
    const grant = { pattern: 'acme/app', account_id: deploy, role: 'read', created_at: 1 } as const;
    await insertRow(database, 'grants', grant);
    assert.deepEqual(await held(database, robot(deploy, token)), [`acme/app ${read}`]);
    await update(database, 'accounts', 'id', acme, { disabled_at: 5 });
    assert.equal(await held(database, robot(deploy, token)), undefined);
  });

  test(`${name}: a job has its trust's scopes inside the organisation's namespace, until trust or organisation changes`, async (t) => {
    const database = await open(t);
    const acme = await makeOrganisation(database, 'acme');
    const trust = await insertRow(database, 'trusts', {
      organisation_id: acme,
      name: 'github',
      issuer: 'https://token.example',
      audience: 'berth',
      claims: '{}',
      scopes:
        'repository:acme/app:pull,push repository:acme-2/app:push repository:acme:push repository:**:delete repository:*/app:pull',
      lifetime: 1,
      created_at: 10,
      updated_at: 200,
    });
    const credential = { kind: 'id-token', trust, since: 200, terms: 200 } as const;
    assert.deepEqual(await held(database, job(trust, credential)), ['acme/app create,pull,update']);
    const { grants, ...rest } = (await loadEntitlements(database.read, job(trust, credential), moment)) ?? {};
    assert.deepEqual(rest, { anonymous: false, administrator: false, scopes: undefined, until: 201 });
    assert.equal(grants?.length, 1);
    for (const terms of [199, 201]) {
      assert.equal(
        await held(database, job(trust, { ...credential, terms })),
        undefined,
        'the trust was changed',
      );
    }
    assert.equal(await held(database, job(trust, { ...credential, trust: trust + 1 })), undefined);
    assert.equal(
      await held(database, job(trust + 1, { ...credential, trust: trust + 1 })),
      undefined,
      'there is no such trust',
    );
    assert.equal(await held(database, job(trust, { kind: 'none' })), undefined);
    const password = { ...credential, kind: 'password' } as const;
    assert.equal(
      await held(database, job(trust, password)),
      undefined,
      'only an ID token authenticates a job',
    );
    await update(database, 'accounts', 'id', acme, { disabled_at: 5 });
    assert.equal(await held(database, job(trust, credential)), undefined);
  });

  test(`${name}: anonymous callers and holders of foreign tokens have no rights in the database`, async (t) => {
    const { read } = await open(t);
    assert.deepEqual(await loadEntitlements(read, anonymousIdentity, moment), {
      anonymous: true,
      administrator: false,
      grants: [],
      scopes: undefined,
    });
    const holder: Identity = { principal: { kind: 'holder', name: 'x' }, credential: { kind: 'foreign' } };
    assert.deepEqual(await loadEntitlements(read, holder, moment), {
      anonymous: false,
      administrator: false,
      grants: [],
      scopes: undefined,
    });
  });
}

const app = parseName('acme/app');

function entitlements(given: Partial<Entitlements>): Entitlements {
  return { anonymous: false, administrator: false, grants: [], scopes: undefined, ...given };
}

function grant(pattern: string, ...rights: Right[]) {
  return { pattern: asPattern(pattern) as Pattern, rights: new Set(rights) };
}

function scopes(...texts: string[]): Scope[] {
  return texts.map((text) => parseScope(text) as Scope);
}

function sorted(rights: Iterable<Right>): Right[] {
  return [...rights].sort();
}

const content: Right[] = ['create', 'delete', 'pull', 'update'];
const none: Right[] = [];
const pull: Right[] = ['pull'];

/** The rights that the policy alone gives, by authentication and visibility. */
const policies: Record<
  AnonymousAccess,
  Record<'anonymous' | 'loggedIn', Record<Visibility | 'absent', Right[]>>
> = {
  none: {
    anonymous: { public: none, private: none, absent: none },
    loggedIn: { public: pull, private: none, absent: none },
  },
  public: {
    anonymous: { public: pull, private: none, absent: none },
    loggedIn: { public: pull, private: none, absent: none },
  },
  pull: {
    anonymous: { public: pull, private: pull, absent: pull },
    loggedIn: { public: pull, private: pull, absent: pull },
  },
  push: {
    anonymous: { public: content, private: content, absent: content },
    loggedIn: { public: content, private: content, absent: content },
  },
};

for (const [policy, byWho] of Object.entries(policies)) {
  for (const [who, byVisibility] of Object.entries(byWho)) {
    for (const [visibility, expected] of Object.entries(byVisibility)) {
      test(`policy ${policy} gives ${who} callers without grants in a repository that is ${visibility}: ${expected.join() || 'nothing'}`, () => {
        const rights = rightsOn(
          entitlements({ anonymous: who === 'anonymous' }),
          app,
          visibility === 'absent' ? undefined : (visibility as Visibility),
          policy as AnonymousAccess,
        );
        assert.deepEqual(sorted(rights), expected);
      });
    }
  }
}

test('an administrator has all rights in every repository, even in one that does not exist', () => {
  for (const name of ['acme/app', 'alpine', 'library/alpine']) {
    const rights = rightsOn(entitlements({ administrator: true }), parseName(name), undefined, 'none');
    assert.deepEqual(sorted(rights), sorted(allRights));
  }
});

test('rights are the union of all matching grants and of the rights of everyone', () => {
  const given = entitlements({
    grants: [grant('acme/**', 'create'), grant('acme/app', 'update'), grant('other/**', 'delete')],
  });
  assert.deepEqual(sorted(rightsOn(given, app, 'private', 'none')), ['create', 'update']);
  assert.deepEqual(sorted(rightsOn(given, app, 'public', 'none')), ['create', 'pull', 'update']);
  assert.deepEqual(sorted(rightsOn(given, parseName('alpine'), 'private', 'none')), []);
});

test('scopes limit rights from every source', () => {
  const pullOnly = scopes('repository:acme/app:pull');
  const other = scopes('repository:other/**:*');
  for (const [what, given, policy] of [
    ['an administrator', entitlements({ administrator: true }), 'none'],
    ['a grant', entitlements({ grants: [{ pattern: '**' as Pattern, rights: allRights }] }), 'none'],
    ['an open registry', entitlements({}), 'push'],
    ['a public repository', entitlements({}), 'none'],
  ] as const) {
    assert.deepEqual(sorted(rightsOn({ ...given, scopes: pullOnly }, app, 'public', policy)), pull, what);
    assert.deepEqual(sorted(rightsOn({ ...given, scopes: other }, app, 'public', policy)), none, what);
  }
  const all = scopes('repository:**:*');
  const bounded = rightsOn(entitlements({ administrator: true, scopes: all }), app, 'public', 'none');
  assert.deepEqual(sorted(bounded), content, 'no scope includes settings and members');
});

test('a scope adds no rights', () => {
  const given = entitlements({ grants: [grant('acme/**', 'pull')], scopes: scopes('repository:**:*') });
  assert.deepEqual(sorted(rightsOn(given, app, 'private', 'none')), pull);
});
