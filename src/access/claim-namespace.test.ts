import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, makeUser } from '../../test/support/databases.ts';
import { findAccount } from '../db/accounts.ts';
import { findMemberRole } from '../db/members.ts';
import type { Namespace } from '../oci/name.ts';
import { changeUser, createUser, deleteUser } from './administration/users.ts';
import { claimNamespace } from './claim-namespace.ts';

const fresh = 'fresh' as Namespace;

for (const { name, open } of dialects) {
  test(`${name}: a namespace goes to one claimer`, async (t) => {
    const database = await open(t);
    const people = await Promise.all(['alice', 'bob', 'carol'].map((user) => makeUser(database, user)));
    await Promise.all(people.map((id) => claimNamespace(database, fresh, id, 1)));
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
    for (const user of [alice, bob]) await claimNamespace(database, fresh, user, 1);
    assert.equal(await findAccount(database.read, fresh), undefined);
  });

  test(`${name}: it goes to its claimer or to a new user of that name, to nobody by halves`, async (t) => {
    const database = await open(t);
    const alice = await makeUser(database, 'alice');
    const user = { name: fresh, administrator: false, tokenOnly: false };
    const [made] = await Promise.allSettled([
      createUser(database, user),
      claimNamespace(database, fresh, alice, 1),
    ]);
    const kind = (await findAccount(database.read, fresh))?.kind;
    assert.equal(kind, made.status === 'fulfilled' ? 'user' : 'organisation');
  });
}
