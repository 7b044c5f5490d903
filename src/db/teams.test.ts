import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, makeOrganisation, makeUser } from '../../test/support/databases.ts';
import type { Database } from './database.ts';
import { addTeamMember, leaveTeams, listTeamMembers, listTeamsOf, removeTeamMember } from './team-members.ts';
import { deleteTeam, findTeam, insertTeam, listTeams, setTeamGroup } from './teams.ts';

async function makeTeam(database: Database, organisation: number, name: string): Promise<number> {
  const id = await database.transaction((db) => insertTeam(db, { organisation, name, group: null }, 1));
  return id as number;
}

async function membersOf(database: Database, team: number): Promise<string[]> {
  const members = await listTeamMembers(database.read, team);
  return members.map(({ name, source }) => `${name} ${source}`);
}

for (const { name, open } of dialects) {
  test(`${name}: a team's name is unique in its organisation`, async (t) => {
    const database = await open(t);
    const [acme, other] = [
      await makeOrganisation(database, 'acme'),
      await makeOrganisation(database, 'other'),
    ];
    const dev = await makeTeam(database, acme, 'dev');
    assert.equal(await makeTeam(database, acme, 'dev'), undefined);
    const others = await makeTeam(database, other, 'dev');
    assert.deepEqual(
      { ...(await findTeam(database.read, acme, 'dev')) },
      { id: dev, name: 'dev', group: null },
    );
    assert.equal((await findTeam(database.read, other, 'dev'))?.id, others);
    await database.transaction((db) => deleteTeam(db, dev));
    assert.equal(await findTeam(database.read, acme, 'dev'), undefined);
    assert.equal((await findTeam(database.read, other, 'dev'))?.id, others);
  });

  test(`${name}: lists an organisation's teams in byte order, page by page`, async (t) => {
    const database = await open(t);
    const [acme, other] = [
      await makeOrganisation(database, 'acme'),
      await makeOrganisation(database, 'other'),
    ];
    for (const team of ['b', 'a-b', 'a0']) await makeTeam(database, acme, team);
    await makeTeam(database, other, 'a1');
    const names = async (after: string, limit: number) =>
      (await listTeams(database.read, acme, after, limit)).map((team) => team.name);
    assert.deepEqual(await names('', 2), ['a-b', 'a0']);
    assert.deepEqual(await names('a0', 2), ['b']);
  });

  test(`${name}: an account may be in a team by hand and by a group, and leave either way`, async (t) => {
    const database = await open(t);
    const dev = await makeTeam(database, await makeOrganisation(database, 'acme'), 'dev');
    const [bob, alice] = [await makeUser(database, 'bob'), await makeUser(database, 'alice')];
    await database.transaction(async (db) => {
      for (const source of ['sso', 'local', 'local'] as const) await addTeamMember(db, dev, alice, source);
      await addTeamMember(db, dev, bob, 'local');
    });
    assert.deepEqual(await membersOf(database, dev), ['alice local', 'alice sso', 'bob local']);
    const remove = () => database.transaction((db) => removeTeamMember(db, dev, alice, 'local'));
    assert.equal(await remove(), true);
    assert.equal(await remove(), false);
    assert.deepEqual(await membersOf(database, dev), ['alice sso', 'bob local']);
  });

  test(`${name}: a team with another group loses the members of the former one`, async (t) => {
    const database = await open(t);
    const dev = await makeTeam(database, await makeOrganisation(database, 'acme'), 'dev');
    const [bob, alice] = [await makeUser(database, 'bob'), await makeUser(database, 'alice')];
    const setGroup = (group: string | null) => database.transaction((db) => setTeamGroup(db, dev, group));
    await setGroup('developers');
    await database.transaction(async (db) => {
      await addTeamMember(db, dev, alice, 'sso');
      await addTeamMember(db, dev, bob, 'local');
    });
    await setGroup('developers');
    assert.deepEqual(await membersOf(database, dev), ['alice sso', 'bob local']);
    await setGroup(null);
    assert.deepEqual(await membersOf(database, dev), ['bob local']);
  });

  test(`${name}: an account leaves the teams of one organisation only, and no other account does`, async (t) => {
    const database = await open(t);
    const [acme, other] = [
      await makeOrganisation(database, 'acme'),
      await makeOrganisation(database, 'other'),
    ];
    const [dev, ops] = [await makeTeam(database, acme, 'dev'), await makeTeam(database, acme, 'ops')];
    const others = await makeTeam(database, other, 'dev');
    const [bob, alice] = [await makeUser(database, 'bob'), await makeUser(database, 'alice')];
    await database.transaction(async (db) => {
      for (const team of [dev, ops, others]) await addTeamMember(db, team, alice, 'local');
      await addTeamMember(db, dev, alice, 'sso');
      await addTeamMember(db, dev, bob, 'local');
    });
    const teams = async () =>
      (await listTeamsOf(database.read, alice)).map(
        ({ organisation, name, source }) => `${organisation}/${name} ${source}`,
      );
    assert.deepEqual(await teams(), ['acme/dev local', 'acme/dev sso', 'acme/ops local', 'other/dev local']);
    await database.transaction((db) => leaveTeams(db, acme, alice));
    assert.deepEqual(await teams(), ['other/dev local']);
    assert.deepEqual(await membersOf(database, dev), ['bob local']);
  });
}
