import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, makeUser } from '../../test/support/databases.ts';
import { refused } from '../../test/support/refused.ts';
import { addTeamMember, listTeamMembers } from '../db/team-members.ts';
import type { ActingDatabase } from './change.ts';
import { createOrganisation, setOrganisationMember } from './organisations.ts';
import { addToTeam, changeTeam, createTeam, removeFromTeam, removeTeam, teamNamed } from './teams.ts';

async function prepared(database: ActingDatabase): Promise<{ alice: number; team: number }> {
  const alice = await makeUser(database, 'alice');
  await createOrganisation(database, { name: 'acme', admin: 'alice' });
  return { alice, team: await createTeam(database, 'acme/dev') };
}

for (const { name, open } of dialects) {
  test(`${name}: a team is created once in its organisation, with its group`, async (t) => {
    const database = await open(t);
    const { team } = await prepared(database);
    const found = await teamNamed(database.read, 'acme/dev');
    assert.deepEqual([found.id, found.group, found.organisation.name], [team, null, 'acme']);
    await createTeam(database, 'acme/ops', { group: 'Operations' });
    assert.equal((await teamNamed(database.read, 'acme/ops')).group, 'Operations');
    for (const [path, message] of [
      ['acme/dev', 'acme already has a team dev'],
      ['acme/Dev', /^"Dev" is not a valid team name: a name has lowercase letters/],
      ['acme', '"acme" is not a valid team: a team is named ORGANISATION/TEAM, such as acme/developers'],
      ['acme/a/b', /is not a valid team/],
      ['acme/', /is not a valid team/],
      ['/dev', /is not a valid team/],
      ['other/dev', 'there is no organisation other'],
      ['alice/dev', 'alice is a user, not an organisation'],
    ] as const) {
      await assert.rejects(createTeam(database, path), refused(message));
    }
    await assert.rejects(
      createTeam(database, 'acme/x', { group: '' }),
      refused(/^a group must not be empty/),
    );
  });

  test(`${name}: a team's group can be changed and removed`, async (t) => {
    const database = await open(t);
    await prepared(database);
    for (const group of ['developers', null]) {
      await changeTeam(database, 'acme/dev', { group });
      await changeTeam(database, 'acme/dev', {});
      assert.equal((await teamNamed(database.read, 'acme/dev')).group, group);
    }
  });

  test(`${name}: a removed team does not exist any more`, async (t) => {
    const database = await open(t);
    await prepared(database);
    await removeTeam(database, 'acme/dev');
    for (const attempt of [
      () => removeTeam(database, 'acme/dev'),
      () => changeTeam(database, 'acme/dev', {}),
      () => addToTeam(database, 'acme/dev', 'alice'),
      () => removeFromTeam(database, 'acme/dev', 'alice'),
    ]) {
      await assert.rejects(attempt, refused('acme has no team dev'));
    }
    await assert.rejects(removeTeam(database, 'acme/D V'), refused('acme has no team "D V"'));
  });

  test(`${name}: only members of the organisation can be in its teams`, async (t) => {
    const database = await open(t);
    const { team } = await prepared(database);
    await makeUser(database, 'bob');
    await assert.rejects(
      addToTeam(database, 'acme/dev', 'bob'),
      refused(
        'bob is not a member of acme, and only members can be in its teams: add bob first (berth org member add acme bob)',
      ),
    );
    assert.deepEqual(await listTeamMembers(database.read, team), []);
    await setOrganisationMember(database, 'acme', 'bob', 'none');
    await addToTeam(database, 'acme/dev', 'bob');
    await addToTeam(database, 'acme/dev', 'bob');
    await assert.rejects(addToTeam(database, 'acme/dev', 'nobody'), refused('there is no user nobody'));
    assert.equal((await listTeamMembers(database.read, team)).length, 1);
  });

  test(`${name}: a user who is in a team by a group is not removed by hand`, async (t) => {
    const database = await open(t);
    const { alice, team } = await prepared(database);
    await changeTeam(database, 'acme/dev', { group: 'developers' });
    await database.transaction((db) => addTeamMember(db, team, alice, 'sso'));
    await addToTeam(database, 'acme/dev', 'alice');
    await removeFromTeam(database, 'acme/dev', 'alice');
    await assert.rejects(
      removeFromTeam(database, 'acme/dev', 'alice'),
      refused(
        'alice is in acme/dev by group developers of the sign-on provider: remove alice from the group there',
      ),
    );
    await changeTeam(database, 'acme/dev', { group: null });
    await assert.rejects(removeFromTeam(database, 'acme/dev', 'alice'), refused('alice is not in acme/dev'));
  });
}
