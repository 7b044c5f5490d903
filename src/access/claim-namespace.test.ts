import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  dialects,
  digestNumber,
  makeOrganisation,
  makeRepository,
  makeUser,
} from '../../test/support/databases.ts';
import { findAccount } from '../db/accounts.ts';
import type { Database } from '../db/database.ts';
import { findMemberRole } from '../db/members.ts';
import { findRepository } from '../db/repositories.ts';
import { insertUpload } from '../db/uploads.ts';
import { type AccountName, asNamespace, type Namespace, parseName } from '../oci/name.ts';
import { changeUser, createUser, deleteUser } from './administration/users.ts';
import { claimNamespace, findClaimable } from './claim-namespace.ts';
import type { Entitlements } from './entitlements.ts';
import type { Principal } from './identity.ts';
import { parseScope, type Scope } from './scope.ts';

const alice: Principal = { kind: 'user', id: 7, name: 'alice' };

/** Who may do nothing so far, by a credential with these scopes. */
function newcomer(...scopes: string[]): Entitlements {
  const bounds = scopes.length === 0 ? undefined : scopes.map((scope) => parseScope(scope) as Scope);
  return { anonymous: false, administrator: false, grants: [], scopes: bounds };
}

function claimable(database: Database, name: string, principal = alice, entitlements = newcomer()) {
  return findClaimable(database.read, principal, entitlements, parseName(name));
}

/** Somebody uploads to it. */
async function useRepository(database: Database, name: string): Promise<void> {
  const repository = await makeRepository(database, parseName(name));
  const upload = {
    id: 'one',
    repository,
    algorithm: 'sha256',
    digest: digestNumber(1),
    owner: 'user:1',
  } as const;
  await database.transaction((db) => insertUpload(db, upload, 1));
}

for (const { name, open } of dialects) {
  test(`${name}: a namespace that nobody has is for any user to claim`, async (t) => {
    const database = await open(t);
    const claim = { namespace: 'new', user: 7 };
    assert.deepEqual(await claimable(database, 'new/app'), claim);
    assert.deepEqual(await claimable(database, 'new/deep/app'), claim);
    await makeOrganisation(database, 'new');
    assert.equal(await claimable(database, 'new/app'), undefined, 'somebody has it now');
  });

  test(`${name}: what has repositories belongs to the administrators, and nobody claims it`, async (t) => {
    const database = await open(t);
    await useRepository(database, 'standing/app');
    assert.equal(await claimable(database, 'standing/app'), undefined);
    assert.equal(await claimable(database, 'standing/other'), undefined);
    assert.ok(await claimable(database, 'standing-by/app'), 'that is another');
    await makeRepository(database, parseName('emptied/app'));
    assert.ok(await claimable(database, 'emptied/app'), 'nothing is in it any more');
  });

  test(`${name}: its claimant is its admin, and who comes later is nobody in it`, async (t) => {
    const database = await open(t);
    const [first, second] = [await makeUser(database, 'first'), await makeUser(database, 'second')];
    const namespace = asNamespace('new') as Namespace;
    for (const user of [first, second]) await claimNamespace(database, { namespace, user }, 5);
    const account = await findAccount(database.read, 'new' as AccountName);
    assert.deepEqual([account?.kind, account?.createdAt], ['organisation', 5]);
    assert.equal(await findMemberRole(database.read, account?.id as number, first), 'admin');
    assert.equal(await findMemberRole(database.read, account?.id as number, second), undefined);
  });

  test(`${name}: what was put into a namespace meanwhile keeps it from its claimant`, async (t) => {
    const database = await open(t);
    const user = await makeUser(database, 'first');
    await useRepository(database, 'new/app');
    await claimNamespace(database, { namespace: asNamespace('new') as Namespace, user }, 5);
    assert.equal(await findAccount(database.read, 'new' as AccountName), undefined);
  });

  test(`${name}: a claimant starts anew: what was emptied before is gone`, async (t) => {
    const database = await open(t);
    const user = await makeUser(database, 'first');
    await makeRepository(database, parseName('new/app'));
    await claimNamespace(database, { namespace: asNamespace('new') as Namespace, user }, 5);
    assert.equal(await findRepository(database.read, parseName('new/app')), undefined);
  });
}

test('only people claim namespaces, and neither the reserved one nor names of one component', async (t) => {
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

test('a credential claims a namespace only where it is good for a push', async (t) => {
  const database = await dialects[0]!.open(t);
  const by = (...scopes: string[]) => claimable(database, 'new/app', alice, newcomer(...scopes));
  assert.ok(await by('repository:new/**:push'));
  assert.ok(await by('repository:other/**:pull', 'repository:new/app:create'));
  assert.equal(await by('repository:new/**:pull,delete'), undefined);
  assert.equal(await by('repository:other/**:push'), undefined);
});

const fresh = 'fresh' as Namespace;

for (const { name, open } of dialects) {
  test(`${name}: a namespace goes to one claimer`, async (t) => {
    const database = await open(t);
    const people = await Promise.all(['alice', 'bob', 'carol'].map((user) => makeUser(database, user)));
    await Promise.all(people.map((id) => claimNamespace(database, { namespace: fresh, user: id }, 1)));
    const { id } = (await findAccount(database.read, fresh))!;
    const roles = await Promise.all(people.map((person) => findMemberRole(database.read, id, person)));
    assert.deepEqual(
      roles.filter((role) => role !== undefined),
      ['admin'],
    );
  });

  test(`${name}: it does not go to who is disabled or deleted at that moment`, async (t) => {
    const database = await open(t);
    const [alice, bob] = [await makeUser(database, 'alice'), await makeUser(database, 'bob')];
    await changeUser(database, 'alice', { disabled: true });
    await deleteUser(database, 'bob');
    for (const user of [alice, bob]) await claimNamespace(database, { namespace: fresh, user }, 1);
    assert.equal(await findAccount(database.read, fresh), undefined);
  });

  test(`${name}: it goes to its claimer or to a new user of that name, to nobody by halves`, async (t) => {
    const database = await open(t);
    const alice = await makeUser(database, 'alice');
    const newcomer = { name: fresh, administrator: false, tokenOnly: false };
    const [made] = await Promise.allSettled([
      createUser(database, newcomer),
      claimNamespace(database, { namespace: fresh, user: alice }, 1),
    ]);
    const kind = (await findAccount(database.read, fresh))?.kind;
    assert.equal(kind, made.status === 'fulfilled' ? 'user' : 'organisation');
  });
}
