import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  dialects,
  digestNumber,
  insertNewManifest,
  makeRepository,
  makeUser,
} from '../../test/support/databases.ts';
import { refused } from '../../test/support/refused.ts';
import { findAccount } from '../db/accounts.ts';
import type { Database } from '../db/database.ts';
import { listMembers } from '../db/members.ts';
import { findOrCreateRepository } from '../db/repositories.ts';
import { listTeamMembers } from '../db/team-members.ts';
import { type Namespace, parseName } from '../oci/name.ts';
import {
  changeOrganisation,
  createOrganisation,
  deleteOrganisation,
  removeOrganisationMember,
  setOrganisationMember,
} from './organisations.ts';
import { createRobot } from './robots.ts';
import { addToTeam, createTeam } from './teams.ts';

const find = (database: Database, name: string) => findAccount(database.read, name as Namespace);

const manifest = {
  digest: digestNumber(1),
  mediaType: 'a/b',
  bytes: Buffer.from('{}'),
  subject: null,
  artifactType: null,
  annotations: null,
};

async function membersOf(database: Database, organisation: number): Promise<string[]> {
  return (await listMembers(database.read, organisation, '', 100)).map(({ name, role }) => `${name} ${role}`);
}

for (const { name, open } of dialects) {
  test(`${name}: an organisation is created with its first member, or not at all`, async (t) => {
    const database = await open(t);
    await makeUser(database, 'alice');
    await assert.rejects(
      createOrganisation(database, { name: 'acme', admin: 'bob' }),
      refused('there is no user bob'),
    );
    assert.equal(await find(database, 'acme'), undefined);
    const id = await createOrganisation(database, {
      name: 'acme',
      admin: 'alice',
      defaultVisibility: 'public',
    });
    assert.deepEqual(await membersOf(database, id), ['alice admin']);
    assert.equal((await find(database, 'acme'))?.defaultVisibility, 'public');
    await assert.rejects(
      createOrganisation(database, { name: 'alice' }),
      refused('alice is taken: a user has that name'),
    );
    await assert.rejects(createOrganisation(database, { name: 'library' }), refused(/administrators/));
  });

  test(`${name}: a change leaves the other fields of an organisation`, async (t) => {
    const database = await open(t);
    await createOrganisation(database, { name: 'acme' });
    const seen = async () => {
      const account = await find(database, 'acme');
      return [account?.defaultVisibility, account?.disabledAt !== null];
    };
    await changeOrganisation(database, 'acme', { defaultVisibility: 'public' });
    assert.deepEqual(await seen(), ['public', false]);
    await changeOrganisation(database, 'acme', { disabled: true });
    assert.deepEqual(await seen(), ['public', true]);
    await changeOrganisation(database, 'acme', { disabled: false, defaultVisibility: 'private' });
    assert.deepEqual(await seen(), ['private', false]);
  });

  test(`${name}: members are users, with the role set last`, async (t) => {
    const database = await open(t);
    await makeUser(database, 'alice');
    const id = await createOrganisation(database, { name: 'acme' });
    await createRobot(database, 'acme+ci');
    await setOrganisationMember(database, 'acme', 'alice', 'read');
    await setOrganisationMember(database, 'acme', 'alice', 'none');
    assert.deepEqual(await membersOf(database, id), ['alice none']);
    for (const [organisation, user, message] of [
      ['acme', 'acme', 'acme is an organisation, not a user'],
      ['acme', 'acme+ci', 'acme+ci is a robot, not a user'],
      ['acme', 'bob', 'there is no user bob'],
      ['alice', 'alice', 'alice is a user, not an organisation'],
      ['other', 'alice', 'there is no organisation other'],
    ] as const) {
      await assert.rejects(setOrganisationMember(database, organisation, user, 'admin'), refused(message));
    }
    assert.deepEqual(await membersOf(database, id), ['alice none']);
  });

  test(`${name}: removing a member removes it from the organisation's teams`, async (t) => {
    const database = await open(t);
    for (const user of ['alice', 'bob']) await makeUser(database, user);
    const id = await createOrganisation(database, { name: 'acme' });
    const team = await createTeam(database, 'acme/dev');
    for (const user of ['alice', 'bob']) {
      await setOrganisationMember(database, 'acme', user, 'read');
      await addToTeam(database, 'acme/dev', user);
    }
    await removeOrganisationMember(database, 'acme', 'alice');
    assert.deepEqual(await membersOf(database, id), ['bob read']);
    const members = await listTeamMembers(database.read, team);
    assert.deepEqual(
      members.map((member) => member.name),
      ['bob'],
    );
    await assert.rejects(
      removeOrganisationMember(database, 'acme', 'alice'),
      refused('alice is not a member of acme'),
    );
  });

  test(`${name}: a user who joins a team while leaving its organisation ends in both or neither`, async (t) => {
    const database = await open(t);
    await makeUser(database, 'alice');
    const id = await createOrganisation(database, { name: 'acme', admin: 'alice' });
    const team = await createTeam(database, 'acme/dev');
    await Promise.allSettled([
      addToTeam(database, 'acme/dev', 'alice'),
      removeOrganisationMember(database, 'acme', 'alice'),
    ]);
    assert.deepEqual(await membersOf(database, id), []);
    assert.deepEqual(await listTeamMembers(database.read, team), []);
  });

  test(`${name}: an organisation is deleted once its repositories are empty, with its teams and robots`, async (t) => {
    const database = await open(t);
    await createOrganisation(database, { name: 'acme' });
    await createTeam(database, 'acme/dev');
    await createRobot(database, 'acme+ci');
    const repository = await makeRepository(database, parseName('acme/app'));
    await database.transaction((db) => insertNewManifest(db, { ...manifest, repository }, 1));
    await assert.rejects(
      deleteOrganisation(database, 'acme'),
      refused(
        'acme cannot be deleted while it has repositories: acme/app; delete them first (berth repo delete NAME), or disable acme instead',
      ),
    );
    await database.transaction((db) => db.deleteFrom('manifests').execute());
    await deleteOrganisation(database, 'acme');
    for (const table of ['accounts', 'teams', 'repositories'] as const) {
      assert.deepEqual(await database.read.selectFrom(table).selectAll().execute(), [], table);
    }
    await assert.rejects(deleteOrganisation(database, 'acme'), refused('there is no organisation acme'));
  });

  test(`${name}: content pushed while an organisation is deleted is kept, with the organisation or without`, async (t) => {
    const database = await open(t);
    for (let round = 0; round < 5; round++) {
      await createOrganisation(database, { name: `acme${round}` });
      const repository = parseName(`acme${round}/app`);
      await makeRepository(database, repository);
      const push = database.transaction(async (db) => {
        const id = await findOrCreateRepository(db, repository, 1);
        return insertNewManifest(db, { ...manifest, repository: id }, 1);
      });
      const deletion = deleteOrganisation(database, `acme${round}`).catch(
        refused(/^acme\d cannot be deleted/),
      );
      const [pushed] = await Promise.all([push, deletion]);
      const kept = await database.read
        .selectFrom('manifests')
        .select('id')
        .where('id', '=', pushed)
        .execute();
      assert.equal(kept.length, 1);
    }
  });
}
