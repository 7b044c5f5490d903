import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeOrganisation, makeUser } from '../../test/support/access.ts';
import { dialects, digestNumber, makeRepository } from '../../test/support/databases.ts';
import { findAccount } from '../db/accounts.ts';
import type { Database } from '../db/database.ts';
import { findMemberRole } from '../db/members.ts';
import { insertUpload } from '../db/uploads.ts';
import { type AccountName, asNamespace, type Namespace, parseName } from '../oci/name.ts';
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
