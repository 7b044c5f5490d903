import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  dialects,
  digestNumber,
  makeOrganisation,
  makeRepository,
  makeUser,
} from '../../test/support/databases.ts';
import type { Entitlements } from '../access/entitlements.ts';
import type { Principal } from '../access/identity.ts';
import { parseScope, type Scope } from '../access/scope.ts';
import { findAccount } from '../db/accounts.ts';
import { system } from '../db/changes.ts';
import type { Database } from '../db/database.ts';
import { listGrants, upsertGrant } from '../db/grants.ts';
import { ensureManifest } from '../db/manifests.ts';
import { findMemberRole } from '../db/members.ts';
import type { NamespaceClaim } from '../db/namespace-claim.ts';
import { findRepository } from '../db/repositories.ts';
import { insertAlias, listAliases } from '../db/repository-aliases.ts';
import { type Namespace, parseName } from '../oci/name.ts';
import { claimsOfUsers, UserClaim } from './claim-namespace.ts';
import { deleteOrganisation } from './organisations.ts';
import { signOn } from './sign-on.ts';
import { changeUser, createUser, deleteUser } from './users.ts';

const alice: Principal = { kind: 'user', id: 7, name: 'alice' };

/** The entitlements of a user without grants whose credential has these scopes. */
function newcomer(...scopes: string[]): Entitlements {
  const bounds = scopes.length === 0 ? undefined : scopes.map((scope) => parseScope(scope) as Scope);
  return { anonymous: false, administrator: false, grants: [], scopes: bounds };
}

async function claimable(database: Database, name: string, principal = alice, entitlements = newcomer()) {
  const parsed = parseName(name);
  return (await claimsOfUsers(3)(database.read, { principal, entitlements }, [parsed])).get(parsed);
}

function make(database: Database, claim: NamespaceClaim): Promise<void> {
  return database.transaction((db) => claim.make(db, system, 5));
}

/** The number of created organisations in the log of changes. */
async function organisationsCreated({ read }: Database): Promise<number> {
  const rows = await read
    .selectFrom('changes')
    .select('id')
    .where('kind', '=', 'organisation.create')
    .execute();
  return rows.length;
}

/** Inserts a manifest, and its repository. */
async function insertManifest(database: Database, name: string): Promise<void> {
  const repository = await makeRepository(database, parseName(name));
  await database.transaction((db) => ensureManifest(db, { ...manifest, repository }, 1));
}

const manifest = {
  digest: digestNumber(1),
  mediaType: 'x',
  bytes: new Uint8Array(),
  ...{ subject: null, artifactType: null, annotations: null },
};
const denied = { code: 'DENIED', detail: /is already taken, or you may not create more namespaces/ };
const fresh = 'fresh' as Namespace;

for (const { name, open } of dialects) {
  test(`${name}: any user can claim a free namespace`, async (t) => {
    const database = await open(t);
    for (const repository of ['new/app', 'new/deep/app']) {
      assert.equal((await claimable(database, repository))?.namespace, 'new');
    }
    await makeOrganisation(database, 'new');
    assert.equal(await claimable(database, 'new/app'), undefined, 'the namespace has an owner');
  });

  test(`${name}: a namespace with manifests belongs to the administrators and cannot be claimed`, async (t) => {
    const database = await open(t);
    const user = await makeUser(database, 'first');
    const early = new UserClaim('standing' as Namespace, user, 3);
    await insertManifest(database, 'standing/app');
    assert.equal(await claimable(database, 'standing/app'), undefined);
    assert.equal(await claimable(database, 'standing/other'), undefined);
    await assert.rejects(make(database, early), denied, 'content was pushed in the meantime');
    assert.ok(await claimable(database, 'standing-by/app'), 'another namespace is free');
    await makeRepository(database, parseName('emptied/app'));
    assert.ok(await claimable(database, 'emptied/app'), 'the namespace is empty again');
  });

  test(`${name}: the first claim creates an organisation with the claimant as admin, and others are refused`, async (t) => {
    const database = await open(t);
    const people = await Promise.all(['alice', 'bob', 'carol'].map((user) => makeUser(database, user)));
    const claims = people.map((user) => new UserClaim(fresh, user, 3));
    const made = await Promise.allSettled(claims.map((claim) => make(database, claim)));
    const account = (await findAccount(database.read, fresh))!;
    assert.deepEqual([account.kind, account.createdAt], ['organisation', 5]);
    const roles = await Promise.all(people.map((id) => findMemberRole(database.read, account.id, id)));
    assert.deepEqual(
      roles.map((role) => role ?? 'none'),
      made.map(({ status }) => (status === 'fulfilled' ? 'admin' : 'none')),
    );
    assert.deepEqual(await organisationsCreated(database), 1);
    const [winner] = people.filter((_, i) => roles[i] === 'admin') as [number];
    // Each request of a push has a claim of its own.
    const again = new UserClaim(fresh, winner, 3);
    await make(database, again);
    assert.equal(await organisationsCreated(database), 1);
  });

  test(`${name}: a claim removes earlier empty repositories, aliases and grants`, async (t) => {
    const database = await open(t);
    const [user, other] = [await makeUser(database, 'first'), await makeUser(database, 'other')];
    await makeRepository(database, parseName('fresh/app'));
    const elsewhere = await makeRepository(database, parseName('other/app'));
    await database.transaction(async (db) => {
      await insertAlias(db, { name: parseName('fresh/old'), repository: elsewhere, expiresAt: 100 }, 1);
      for (const pattern of ['fresh/**', 'fresher/**']) {
        await upsertGrant(db, { pattern, grantee: { account: other }, role: 'admin' }, 1);
      }
    });
    await make(database, new UserClaim(fresh, user, 3));
    assert.equal(await findRepository(database.read, parseName('fresh/app')), undefined);
    assert.deepEqual(await listAliases(database.read, '', 10, 1), []);
    assert.deepEqual(
      (await listGrants(database.read)).map(({ pattern }) => pattern),
      ['fresher/**'],
    );
  });

  test(`${name}: a user claims up to the limit, and one more after each deletion`, async (t) => {
    const database = await open(t);
    const id = await makeUser(database, 'alice');
    const principal: Principal = { kind: 'user', id, name: 'alice' };
    const spare = new UserClaim('spare' as Namespace, id, 3);
    for (const repository of ['one/app', 'two/app', 'three/app']) {
      await make(database, (await claimable(database, repository, principal)) as NamespaceClaim);
    }
    assert.equal(await claimable(database, 'four/app', principal), undefined);
    await assert.rejects(make(database, spare), denied, 'a claim made before the limit is refused too');
    await deleteOrganisation(database, 'two');
    await make(database, (await claimable(database, 'four/app', principal)) as NamespaceClaim);
    const bob: Principal = { kind: 'user', id: await makeUser(database, 'bob'), name: 'bob' };
    assert.ok(await claimable(database, 'bobs/app', bob), 'each user has an own limit');
  });

  test(`${name}: a user name of the sign-on provider can be claimed only by its user, even if the account has another name`, async (t) => {
    const database = await open(t);
    const person = { issuer: 'https://sso.example', subject: 's-1', mail: undefined, groups: undefined };
    const { account, name: own } = await signOn(database, { ...person, username: 'jane' }, {});
    const jane: Principal = { kind: 'user', id: account, name: own };
    assert.equal(await claimable(database, 'jane/app'), undefined);
    const early = new UserClaim('jane-doe' as Namespace, await makeUser(database, 'mallory'), 3);
    await signOn(database, { ...person, username: 'Jane-Doe@example.com' }, {});
    assert.equal(await claimable(database, 'jane-doe/app'), undefined);
    await assert.rejects(make(database, early), denied);
    assert.ok(await claimable(database, 'jane-doe/app', jane));
    await signOn(database, { ...person, username: undefined }, {});
    assert.ok(await claimable(database, 'jane-doe/app'), 'the name is free again');
  });

  test(`${name}: a user who was disabled or deleted meanwhile cannot claim`, async (t) => {
    const database = await open(t);
    const [alice, bob] = [await makeUser(database, 'alice'), await makeUser(database, 'bob')];
    await changeUser(database, 'alice', { disabled: true });
    await deleteUser(database, 'bob');
    for (const user of [alice, bob]) {
      await assert.rejects(make(database, new UserClaim(fresh, user, 3)), denied);
    }
    assert.equal(await findAccount(database.read, fresh), undefined);
  });

  test(`${name}: if a push claims a name while a user with that name is created, exactly one of them gets it`, async (t) => {
    const database = await open(t);
    const alice = await makeUser(database, 'alice');
    const newcomer = { name: fresh, administrator: false, tokenOnly: false };
    const [made] = await Promise.allSettled([
      createUser(database, newcomer),
      make(database, new UserClaim(fresh, alice, 3)),
    ]);
    const kind = (await findAccount(database.read, fresh))?.kind;
    assert.equal(kind, made.status === 'fulfilled' ? 'user' : 'organisation');
  });
}

test('only users can claim namespaces, and no user can claim the reserved one or a name of one component', async (t) => {
  const database = await dialects[0]!.open(t);
  for (const principal of [
    { kind: 'anonymous' },
    { kind: 'robot', id: 7, name: 'acme+ci' },
    { kind: 'job', trust: 7, subject: 'x', name: 'acme' },
    { kind: 'holder', name: 'alice' },
  ] as const) {
    assert.equal(await claimable(database, 'new/app', principal), undefined, principal.kind);
  }
  assert.equal(await claimable(database, 'library/app'), undefined);
  assert.equal(await claimable(database, 'new'), undefined);
});

test('a credential claims a namespace only if it may push there', async (t) => {
  const database = await dialects[0]!.open(t);
  const by = (...scopes: string[]) => claimable(database, 'new/app', alice, newcomer(...scopes));
  assert.ok(await by('repository:new/**:push'));
  assert.ok(await by('repository:other/**:pull', 'repository:new/app:create'));
  assert.equal(await by('repository:new/**:pull,delete'), undefined);
  assert.equal(await by('repository:other/**:push'), undefined);
});
