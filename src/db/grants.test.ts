import assert from 'node:assert/strict';
import { test } from 'node:test';
import { insertRow, makeRobot } from '../../test/support/access.ts';
import { dialects, makeOrganisation, makeRepository, makeUser } from '../../test/support/databases.ts';
import { parseName } from '../oci/name.ts';
import { deleteGrant, type Grantee, listGrants, upsertGrant } from './grants.ts';
import { nameNamespaces } from './migrations/0007-grants.ts';

for (const { name, open } of dialects) {
  test(`${name}: a grantee has one role per pattern, independent of other grantees`, async (t) => {
    const database = await open(t);
    const acme = await makeOrganisation(database, 'acme');
    const alice = { account: await makeUser(database, 'alice') };
    const robot = { account: await makeRobot(database, 'acme+deploy', acme) };
    const team = await insertRow(database, 'teams', { organisation_id: acme, name: 'dev', created_at: 1 });
    const set = (grantee: Grantee, pattern: string, role: 'read' | 'write') =>
      database.transaction((db) => upsertGrant(db, { pattern, grantee, role }, 7));
    const list = async (grantee?: Grantee) =>
      (await listGrants(database.read, grantee)).map(
        ({ pattern, role, kind, name, createdAt }) => `${pattern} ${role} ${kind} ${name} ${createdAt}`,
      );
    const remove = (pattern: string, grantee: Grantee) =>
      database.transaction((db) => deleteGrant(db, pattern, grantee));

    await set(alice, 'acme/app', 'read');
    await set(robot, 'acme/app', 'read');
    await set({ team }, 'acme/app', 'read');
    await set(alice, 'acme/**', 'read');
    await set(alice, 'acme/app', 'write');
    await set({ team }, 'acme/app', 'write');
    assert.deepEqual(await list(), [
      'acme/** read user alice 7',
      'acme/app write user alice 7',
      'acme/app read robot acme+deploy 7',
      'acme/app write team acme/dev 7',
    ]);
    assert.deepEqual(await list(robot), ['acme/app read robot acme+deploy 7']);
    assert.deepEqual(await list({ team }), ['acme/app write team acme/dev 7']);
    assert.deepEqual(await list({ team: team + 1 }), []);

    assert.deepEqual([await remove('acme/app', { team }), await remove('acme/app', { team })], [true, false]);
    assert.deepEqual([await remove('acme/**', robot), await remove('acme/**', alice)], [false, true]);
    assert.deepEqual(await list(), ['acme/app write user alice 7', 'acme/app read robot acme+deploy 7']);
  });

  test(`${name}: migration replaces grants with a wildcard in the namespace by one per existing namespace`, async (t) => {
    const database = await open(t);
    const alice = { account: await makeUser(database, 'alice') };
    const acme = await makeOrganisation(database, 'acme');
    await makeOrganisation(database, 'acme-dev');
    await makeOrganisation(database, 'acme_x');
    await makeOrganisation(database, 'acmex');
    await makeOrganisation(database, 'evil-acme');
    await makeRobot(database, 'acme+deploy', acme);
    for (const repository of ['acme-old/app', 'x/acme/app', 'acme-top']) {
      await makeRepository(database, parseName(repository));
    }
    await database.transaction(async (db) => {
      const set = (pattern: string, role: 'read' | 'write' | 'admin') =>
        upsertGrant(db, { pattern, grantee: alice, role }, 7);
      await set('acme*/**', 'write');
      await set('acme/**', 'read');
      await set('acme-dev/**', 'admin');
      await set('acme_*/app', 'read');
      for (const pattern of ['*/app', '**', 'acme-*', 'acme/a*']) await set(pattern, 'read');
      await nameNamespaces(db as never);
    });
    const after = (await listGrants(database.read)).map(({ pattern, role }) => `${pattern} ${role}`);
    assert.deepEqual(after, [
      ...['** read', '*/app read', 'acme-* read'],
      ...['acme-dev/** admin', 'acme-old/** write', 'acme/** write', 'acme/a* read'],
      ...['acme_x/** write', 'acme_x/app read', 'acmex/** write'],
    ]);
    await database.transaction((db) => nameNamespaces(db as never));
    assert.equal((await listGrants(database.read)).length, after.length);
  });
}
