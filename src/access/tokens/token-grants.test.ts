// See also auth/token.test.ts, for the token server's use of it.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { insertRow, makeOrganisation, makeUser } from '../../../test/support/access.ts';
import { dialects, makeRepository } from '../../../test/support/databases.ts';
import { claimsOfUsers } from '../../administration/claim-namespace.ts';
import type { DirectAdapter } from '../../db/prepare.ts';
import { insertAlias } from '../../db/repository-aliases.ts';
import { parseName } from '../../oci/name.ts';
import { anonymousIdentity, type Identity } from '../identity.ts';
import { BearerTokens } from './bearer.ts';
import { parseAsked } from './docker-scope.ts';
import { SigningKeys } from './signing-keys.ts';
import { TokenGrants, type TokenGrantsParts } from './token-grants.ts';

const now = Date.UTC(2026, 0, 1, 12);
const minute = 60_000;

async function setUp(t: TestContext, given: Partial<TokenGrantsParts> = {}) {
  const database = await (dialects[0] as (typeof dialects)[number]).open(t);
  const clock = (): number => now;
  const keys = new SigningKeys({ database, clock });
  const tokens = new BearerTokens({
    keys,
    clock,
    lifetime: minute,
    passwordLogin: true,
    refreshLifetime: 60 * minute,
  });
  const policy = 'public';
  const grants = new TokenGrants({
    database,
    tokens,
    clock,
    policy,
    findClaims: claimsOfUsers(10),
    passwordLogin: true,
    ...given,
  });
  const id = await makeUser(database, 'alice');
  const alice: Identity = {
    principal: { kind: 'user', id, name: 'alice' },
    credential: { kind: 'password', since: 100 },
  };
  const granted = async (identity: Identity, ...scopes: string[]) =>
    (await grants.grant(identity, parseAsked(scopes))).granted;
  const refreshToken = async (identity: Identity) =>
    grants.refreshToken(identity, await grants.grant(identity, parseAsked([])));
  return { database, grants, tokens, alice, id, granted, refreshToken };
}

const unauthorized = { name: 'RegistryError', code: 'UNAUTHORIZED' };

test('the policy none refuses anonymous callers, and not authenticated ones', async (t) => {
  const { alice, granted } = await setUp(t, { policy: 'none' });
  assert.equal((await granted(alice, 'repository:alice/app:pull')).length, 1);
  await assert.rejects(granted(anonymousIdentity), unauthorized);
});

test('an invalid login gets no token', async (t) => {
  const { alice, granted } = await setUp(t);
  const changed = { ...alice, credential: { kind: 'password', since: 99 } } as const;
  await assert.rejects(granted(changed), unauthorized);
});

test('every action that pushes is granted in a free namespace', async (t) => {
  const { alice, granted } = await setUp(t);
  const name = parseName('new/app');
  for (const [asked, actions] of [
    ['push', ['push']],
    ['create', ['create']],
    ['*', ['pull', 'push', 'delete']],
  ] as const) {
    assert.deepEqual(await granted(alice, `repository:new/app:${asked}`), [
      { name, actions, repository: undefined },
    ]);
  }
  assert.deepEqual(await granted(alice, 'repository:new/app:pull,delete'), []);
});

test('a token for a free namespace does not create the namespace', async (t) => {
  const { database, alice, id, granted } = await setUp(t);
  await insertRow(database, 'grants', { pattern: '**', account_id: id, role: 'write', created_at: 1 });
  const [one] = await granted(alice, 'repository:new/app:pull,push,delete');
  assert.deepEqual(one?.actions, ['pull', 'push']);
});

test('a token for many repositories needs no more queries than one for a few', async (t) => {
  const { database, grants, alice } = await setUp(t);
  await makeRepository(database, parseName('alice/r1'));
  const { adapter } = database.read.getExecutor();
  const { mock } = t.mock.method(adapter as unknown as DirectAdapter, 'runDirect');
  const ask = async (count: number) => {
    const numbers = Array.from({ length: count }, (_, i) => i);
    const asked = numbers.flatMap((i) => [`repository:alice/r${i}:pull`, `repository:new${i}/app:push`]);
    const before = mock.callCount();
    const { granted } = await grants.grant(alice, parseAsked(asked));
    assert.equal(granted.length, 2 * count);
    assert.deepEqual(
      granted.filter(({ repository }) => repository !== undefined).map(({ name }) => name),
      ['alice/r1'],
    );
    return mock.callCount() - before;
  };
  await ask(2);
  const few = await ask(2);
  assert.ok(few <= 4, `${few}`);
  assert.equal(await ask(50), few);
});

test('a token for an alias has the alias, the rights under the new name and the id; without the right to pull it is a free name', async (t) => {
  const { database, alice, id, granted } = await setUp(t);
  const [app, old] = [parseName('acme/app'), parseName('old/app')];
  const repository = await makeRepository(database, app);
  const row = { name: old, repository, expiresAt: now + 1 };
  await database.transaction((db) => insertAlias(db, row, 1));
  const asked = 'repository:old/app:pull,push';
  assert.deepEqual(await granted(alice, asked), [
    { name: old, actions: ['pull', 'push'], repository: undefined },
  ]);
  await insertRow(database, 'grants', { pattern: app, account_id: id, role: 'read', created_at: 1 });
  assert.deepEqual(await granted(alice, asked), [{ name: old, actions: ['pull'], repository }]);
});

test('authenticated callers get refresh tokens', async (t) => {
  const { refreshToken, tokens, alice } = await setUp(t);
  const token = await refreshToken(alice);
  assert.deepEqual(await tokens.verifyRefresh(token as string), alice);
  assert.equal(await refreshToken(anonymousIdentity), undefined);
});

test("a job can fetch tokens for its trust's lifetime, and not after the trust is deleted", async (t) => {
  const { database, refreshToken } = await setUp(t);
  const trust = await insertRow(database, 'trusts', {
    organisation_id: await makeOrganisation(database, 'acme'),
    name: 'github',
    issuer: 'https://token.example',
    audience: 'berth',
    claims: '{}',
    scopes: 'repository:acme/app:pull',
    lifetime: minute,
    created_at: 1,
    updated_at: 1,
  });
  const job = (since: number, by = trust): Identity => ({
    principal: { kind: 'job', trust: by, subject: 'repo:acme/app', name: 'acme/app' },
    credential: { kind: 'id-token', trust: by, since, terms: 1 },
  });
  assert.ok(await refreshToken(job(now - minute + 1)));
  assert.equal(await refreshToken(job(now - minute)), undefined);
  await assert.rejects(refreshToken(job(now, trust + 1)), unauthorized);
});
