import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, makeOrganisation, makeUser } from '../../test/support/databases.ts';
import { findMemberRole, listMembers, listMemberships, removeMember, setMember } from './members.ts';

for (const { name, open } of dialects) {
  test(`${name}: a member has the last role set, and none once removed`, async (t) => {
    const database = await open(t);
    const [acme, other] = [
      await makeOrganisation(database, 'acme'),
      await makeOrganisation(database, 'other'),
    ];
    const alice = await makeUser(database, 'alice');
    const role = () => findMemberRole(database.read, acme, alice);
    assert.equal(await role(), undefined);
    await database.transaction((db) => setMember(db, acme, alice, 'read'));
    assert.equal(await role(), 'read');
    await database.transaction((db) => setMember(db, acme, alice, 'none'));
    assert.equal(await role(), 'none');
    assert.equal(await findMemberRole(database.read, other, alice), undefined);
    assert.equal(await database.transaction((db) => removeMember(db, acme, alice)), true);
    assert.equal(await role(), undefined);
    assert.equal(await database.transaction((db) => removeMember(db, acme, alice)), false);
  });

  test(`${name}: lists members by organisation and by user`, async (t) => {
    const database = await open(t);
    const acme = await makeOrganisation(database, 'acme');
    const zoo = await makeOrganisation(database, 'zoo');
    const [bob, alice] = [await makeUser(database, 'bob'), await makeUser(database, 'alice')];
    await database.transaction(async (db) => {
      await setMember(db, zoo, bob, 'admin');
      await setMember(db, acme, bob, 'write');
      await setMember(db, acme, alice, 'read');
    });
    const plain = async (rows: Promise<readonly object[]>) => (await rows).map((row) => ({ ...row }));
    assert.deepEqual(await plain(listMembers(database.read, acme, '', 10)), [
      { id: alice, name: 'alice', role: 'read' },
      { id: bob, name: 'bob', role: 'write' },
    ]);
    assert.deepEqual(await plain(listMembers(database.read, acme, 'alice', 1)), [
      { id: bob, name: 'bob', role: 'write' },
    ]);
    assert.deepEqual(await plain(listMemberships(database.read, bob)), [
      { id: acme, name: 'acme', role: 'write' },
      { id: zoo, name: 'zoo', role: 'admin' },
    ]);
  });
}
