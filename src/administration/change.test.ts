import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects } from '../../test/support/databases.ts';
import { commandLineActor } from '../access/actor.ts';
import { listAuditEntries } from '../db/audit-events.ts';
import type { Database } from '../db/database.ts';
import { noOrigin } from '../db/origins.ts';
import { createAccessToken, revokeAccessToken, revokeOwnToken } from './access-tokens.ts';
import { type ActingDatabase, actAs } from './change.ts';
import { makeFirstAdministrator } from './first-administrator.ts';
import { removeGrant, setGrant } from './grants.ts';
import { linkIdentity, unlinkIdentity } from './identities.ts';
import {
  changeOrganisation,
  createOrganisation,
  deleteOrganisation,
  removeOrganisationMember,
  setOrganisationMember,
} from './organisations.ts';
import { changeVisibility, removeRepository } from './repositories.ts';
import { changeRobot, createRobot, deleteRobot } from './robots.ts';
import { signOn } from './sign-on.ts';
import { removeEndedSigningKeys, rotateSigningKeys } from './signing-keys.ts';
import { addToTeam, changeTeam, createTeam, removeFromTeam, removeTeam } from './teams.ts';
import { changeTrust, createTrust, removeTrust } from './trusts.ts';
import { changeUser, createUser, deleteUser } from './users.ts';

const by = commandLineActor('root');
const grantee = { kind: 'user', name: 'bob' } as const;
const owner = { kind: 'user', name: 'bob' } as const;
const identity = { issuer: 'https://issuer.example', subject: '7' };
const trust = {
  ...{ issuer: 'https://ci.example.com', audience: 'registry', ownIssuer: true },
  ...{ claims: { repository: 'acme/app' }, scopes: ['repository:acme/app:pull'] },
};
const lifetimes = { tokenLifetime: 1, refreshLifetime: 1 };
const password = 'correct horse battery staple';

type Step = readonly [kinds: string, change: (database: ActingDatabase) => Promise<unknown>];

/** Each step records these kinds, in this order; a step without kinds changes nothing. */
const steps: readonly Step[] = [
  ['user.create', (database) => createUser(database, { name: 'bob', password })],
  ['user.create', (database) => createUser(database, { name: 'root', administrator: true })],
  [
    'user.password user.update',
    (database) => changeUser(database, 'bob', { password, mail: 'b@example.com' }),
  ],
  [
    '',
    (database) => changeUser(database, 'bob', { mail: 'b@example.com', disabled: false, tokenOnly: false }),
  ],
  ['user.password', (database) => changeUser(database, 'bob', { password: null })],
  ['', (database) => changeUser(database, 'bob', { password: null })],
  ['user.link', (database) => linkIdentity(database, 'bob', identity)],
  ['', (database) => linkIdentity(database, 'bob', identity)],
  ['user.unlink', (database) => unlinkIdentity(database, 'bob', identity)],
  ['organisation.create', (database) => createOrganisation(database, { name: 'acme', admin: 'root' })],
  [
    'organisation.update',
    (database) => changeOrganisation(database, 'acme', { defaultVisibility: 'public' }),
  ],
  ['', (database) => changeOrganisation(database, 'acme', { defaultVisibility: 'public', disabled: false })],
  ['member.set', (database) => setOrganisationMember(database, 'acme', 'bob', 'read')],
  ['', (database) => setOrganisationMember(database, 'acme', 'bob', 'read')],
  ['team.create', (database) => createTeam(database, 'acme/dev')],
  ['team.update', (database) => changeTeam(database, 'acme/dev', { group: 'dev' })],
  ['', (database) => changeTeam(database, 'acme/dev', { group: 'dev' })],
  ['team.member.add', (database) => addToTeam(database, 'acme/dev', 'bob')],
  ['', (database) => addToTeam(database, 'acme/dev', 'bob')],
  ['team.member.remove', (database) => removeFromTeam(database, 'acme/dev', 'bob')],
  ['robot.create', (database) => createRobot(database, 'acme+ci')],
  ['robot.update', (database) => changeRobot(database, 'acme+ci', { disabled: true })],
  ['', (database) => changeRobot(database, 'acme+ci', { disabled: true })],
  ['token.create', (database) => createAccessToken(database, { owner, scopes: [], lifetime: null })],
  ['token.revoke', (database) => revokeAccessToken(database, 1)],
  ['', (database) => revokeAccessToken(database, 1)],
  ['', (database) => revokeOwnToken(database, 'bob', 1)],
  ['grant.set', (database) => setGrant(database, { pattern: 'acme/app', grantee, role: 'read' })],
  ['', (database) => setGrant(database, { pattern: 'acme/app', grantee, role: 'read' })],
  ['grant.set', (database) => setGrant(database, { pattern: 'acme/app', grantee, role: 'write' })],
  ['grant.remove', (database) => removeGrant(database, 'acme/app', grantee)],
  ['repository.update', (database) => changeVisibility(database, 'acme/app', 'private')],
  ['', (database) => changeVisibility(database, 'acme/app', 'private')],
  [
    'repository.delete',
    (database) => removeRepository(database, 'acme/app', { immutableTags: [], trash: true }),
  ],
  ['trust.create', (database) => createTrust(database, 'acme', 'ci', trust)],
  ['trust.update', (database) => changeTrust(database, 'acme', 'ci', { lifetime: 1_800_000 })],
  ['trust.delete', (database) => removeTrust(database, 'acme', 'ci')],
  ['key.rotate', (database) => rotateSigningKeys(database, { ...lifetimes, revoke: true })],
  ['key.rotate key.delete', (database) => rotateSigningKeys(database, { ...lifetimes, revoke: true })],
  ['', (database) => removeEndedSigningKeys(database, lifetimes)],
  ['team.delete', (database) => removeTeam(database, 'acme/dev')],
  ['member.remove', (database) => removeOrganisationMember(database, 'acme', 'bob')],
  ['robot.delete', (database) => deleteRobot(database, 'acme+ci')],
  ['organisation.delete', (database) => deleteOrganisation(database, 'acme')],
  ['user.delete', (database) => deleteUser(database, 'bob')],
];

function logOf({ read }: Database) {
  return listAuditEntries(read, {}, undefined, 1_000);
}

/** The kinds and details of what `work` records, all for one actor. */
async function recordedBy(actor: string, database: Database, work: () => Promise<unknown>) {
  const before = (await logOf(database)).length;
  await work();
  const entries = (await logOf(database)).slice(before);
  for (const { actor: key, actor_name: name, action } of entries) {
    assert.equal(name === 'jane' ? 'user:jane' : key, actor, action);
  }
  return entries.map(({ action, detail }) => [action, JSON.parse(detail ?? 'null')]);
}

for (const { name, open } of dialects) {
  test(`${name}: each change of accounts, rights and keys is recorded with its actor, and nothing else is`, async (t) => {
    const database = actAs(await open(t), by);
    for (const [i, [kinds, change]] of steps.entries()) {
      const recorded = await recordedBy('cli:root', database, () => change(database));
      assert.equal(recorded.map(([kind]) => kind).join(' '), kinds, `step ${i}`);
    }
    const whole = JSON.stringify(await logOf(database));
    for (const secret of [password, '$argon2', 'PRIVATE KEY']) assert.ok(!whole.includes(secret), secret);
  });

  test(`${name}: a change that cannot be recorded is not made`, async (t) => {
    const database = await open(t);
    const nobody = actAs(database, { ...by, actor: null as unknown as string });
    await assert.rejects(createUser(nobody, { name: 'bob' }));
    await assert.rejects(changeVisibility(nobody, 'acme/app', 'public'));
    assert.deepEqual(await recordedBy('cli:root', database, async () => {}), []);
    await createUser(database, { name: 'bob' });
  });

  test(`${name}: a revocation is recorded for the token and for the tokens that were created with it`, async (t) => {
    const database = actAs(await open(t), by);
    await createUser(database, { name: 'bob' });
    const first = await createAccessToken(database, { owner, scopes: [], lifetime: null });
    const origin = { ...noOrigin, originToken: first.id };
    const second = await createAccessToken(database, { owner, scopes: [], lifetime: null, origin });
    assert.deepEqual(await recordedBy('cli:root', database, () => revokeAccessToken(database, first.id)), [
      ['token.revoke', { token: first.id }],
      ['token.revoke', { token: second.id, madeBy: first.id }],
    ]);
  });

  test(`${name}: a sign-on records the user, memberships and rights that it makes and removes`, async (t) => {
    const database = await open(t);
    await createUser(database, { name: 'root', administrator: true });
    await createOrganisation(database, { name: 'acme' });
    await createTeam(database, 'acme/dev', { group: 'dev' });
    await createTeam(database, 'acme/ops', { group: 'ops' });
    const groups = (...groups: string[]) => {
      const person = { ...identity, username: 'jane', mail: 'jane@example.com', groups };
      return () => signOn(database, person, { client: 'Firefox' }, { administratorsGroup: 'admins' });
    };
    const actor = 'user:jane';
    const [user, source] = ['jane', 'sso'];
    assert.deepEqual(await recordedBy(actor, database, groups('dev')), [
      ['user.create', { user, ...identity }],
      ['member.set', { organisation: 'acme', user, role: 'none' }],
      ['team.member.add', { team: 'acme/dev', user, source }],
      ['user.update', { user, mail: 'jane@example.com' }],
    ]);
    assert.deepEqual(await recordedBy(actor, database, groups('dev')), []);
    assert.deepEqual(await recordedBy(actor, database, groups('ops', 'admins')), [
      ['team.member.remove', { team: 'acme/dev', user, source }],
      ['team.member.add', { team: 'acme/ops', user, source }],
      ['user.update', { user, administrator: true }],
    ]);
    assert.equal((await logOf(database)).at(-1)?.client, 'Firefox');
  });

  test(`${name}: Berth itself makes the first administrator and deletes keys that have ended`, async (t) => {
    const database = await open(t);
    let now = 1_000_000;
    const clocked = { ...database, clock: () => now };
    const make = () => makeFirstAdministrator(clocked, { name: 'admin' });
    const detail = { user: 'admin', administrator: true, tokenOnly: false };
    assert.deepEqual(await recordedBy('system', database, make), [['user.create', detail]]);
    assert.deepEqual(await recordedBy('system', database, make), []);
    const { id: key } = await rotateSigningKeys(clocked, { ...lifetimes, revoke: false });
    await rotateSigningKeys(clocked, { ...lifetimes, revoke: false });
    now *= 1_000;
    const remove = () => removeEndedSigningKeys(clocked, lifetimes);
    assert.deepEqual(await recordedBy('system', database, remove), [['key.delete', { key }]]);
  });
}
