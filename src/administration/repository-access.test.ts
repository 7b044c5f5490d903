import assert from 'node:assert/strict';
import { test } from 'node:test';
import { insertLink, insertRow, makeOrganisation, makeRobot, makeUser } from '../../test/support/access.ts';
import { dialects } from '../../test/support/databases.ts';
import type { Database } from '../db/database.ts';
import type { Visibility } from '../db/schema.ts';
import { parseName } from '../oci/name.ts';
import { listRepositoryAccess } from './repository-access.ts';

/** All rights as text, except those of administrators, which always come first. */
async function others({ read }: Database, name: string, visibility?: Visibility): Promise<string[]> {
  const [first, ...rest] = await listRepositoryAccess(read, parseName(name), visibility);
  const rights = ['pull', 'create', 'update', 'delete', 'settings', 'members'];
  assert.deepEqual(first, { kind: 'administrators', name: null, rights, by: 'administrator rights' });
  return rest.map(({ kind, name, rights, by }) => `${kind} ${name}: ${rights} by ${by}`);
}

const all = 'pull,create,update,delete,settings,members';

for (const { name, open } of dialects) {
  test(`${name}: only its user has rights in a user's namespace`, async (t) => {
    const database = await open(t);
    await makeUser(database, 'alice');
    assert.deepEqual(await others(database, 'alice/app'), [`user alice: ${all} by owner of alice/**`]);
    for (const other of ['alice', 'alice2/app', 'library/app']) {
      assert.deepEqual(await others(database, other), [], other);
    }
  });

  test(`${name}: an organisation's members and jobs are listed if they have rights`, async (t) => {
    const database = await open(t);
    const acme = await makeOrganisation(database, 'acme');
    const other = await makeOrganisation(database, 'other');
    for (const [user, organisation, role] of [
      ['0-alice', acme, 'write'],
      ['bob', acme, 'none'],
      ['carol', acme, 'read'],
      ['dan', other, 'admin'],
    ] as const) {
      const account = await makeUser(database, user);
      await insertLink(database, 'members', { organisation_id: organisation, account_id: account, role });
    }
    for (const [trust, organisation, scopes] of [
      ['github', acme, 'repository:acme/app:pull,push repository:acme/x:delete'],
      ['gitlab', acme, 'repository:acme/x:pull'],
      ['jenkins', other, 'repository:other/**:*'],
    ] as const) {
      await insertRow(database, 'trusts', {
        organisation_id: organisation,
        name: trust,
        issuer: 'https://token.example',
        audience: 'berth',
        claims: '{}',
        scopes,
        lifetime: 1,
        created_at: 1,
        updated_at: 1,
      });
    }
    const members = [
      'user 0-alice: pull,create,update by write on acme/**, as a member',
      'user carol: pull by read on acme/**, as a member',
    ];
    assert.deepEqual(await others(database, 'acme/app'), [
      ...members,
      'jobs github: pull,create,update by trust of acme',
    ]);
    assert.deepEqual(await others(database, 'acme/y'), members);
    assert.deepEqual(await others(database, 'acme'), [], 'the repository is outside acme');
  });

  test(`${name}: every member is listed, however many there are`, async (t) => {
    const database = await open(t);
    const acme = await makeOrganisation(database, 'acme');
    const names = Array.from({ length: 1_001 }, (_, i) => `user-${1_000 + i}`);
    await database.transaction(async (db) => {
      const users = await db
        .insertInto('accounts')
        .values(names.map((name) => ({ name, kind: 'user' as const, created_at: 1 })))
        .returning('id')
        .execute();
      const members = users.map(({ id }) => ({
        organisation_id: acme,
        account_id: id,
        role: 'read' as const,
      }));
      await db.insertInto('members').values(members).execute();
    });
    const listed = await others(database, 'acme/app');
    assert.deepEqual(
      listed,
      names.map((name) => `user ${name}: pull by read on acme/**, as a member`),
    );
  });

  test(`${name}: matching grants are listed, and everyone if the repository is public`, async (t) => {
    const database = await open(t);
    const acme = await makeOrganisation(database, 'acme');
    const alice = await makeUser(database, 'alice');
    const robot = await makeRobot(database, 'acme+ci', acme);
    const team = await insertRow(database, 'teams', { organisation_id: acme, name: 'dev', created_at: 1 });
    for (const [pattern, role, to] of [
      ['acme/app', 'maintain', { team_id: team }],
      ['acme/*', 'read', { account_id: robot }],
      ['**', 'admin', { account_id: alice }],
      ['acme/x', 'write', { account_id: alice }],
    ] as const) {
      await insertRow(database, 'grants', { pattern, role, ...to, created_at: 1 });
    }
    const granted = [
      `user alice: ${all} by admin on **`,
      'robot acme+ci: pull by read on acme/*',
      'team acme/dev: pull,create,update,delete,settings by maintain on acme/app',
    ];
    for (const visibility of ['private', undefined] as const) {
      assert.deepEqual(await others(database, 'acme/app', visibility), granted);
    }
    assert.deepEqual(await others(database, 'acme/app', 'public'), [
      ...granted,
      'everyone null: pull by the repository being public',
    ]);
  });
}
