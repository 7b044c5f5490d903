import assert from 'node:assert/strict';
import { test } from 'node:test';
import { insertRow, makeRobot } from '../../test/support/access.ts';
import { dialects, makeOrganisation, makeUser } from '../../test/support/databases.ts';
import { deleteGrant, type Grantee, listGrants, upsertGrant } from './grants.ts';

for (const { name, open } of dialects) {
  test(`${name}: a grantee has one role by one pattern, whoever else has grants`, async (t) => {
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
}
