import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeOrganisation, makeRobot, makeUser } from '../../test/support/access.ts';
import { dialects, makeRepository } from '../../test/support/databases.ts';
import { refused } from '../../test/support/refused.ts';
import { loadEntitlements, rightsOn } from '../access/entitlements.ts';
import { findAccount } from '../db/accounts.ts';
import { type AccountName, parseName } from '../oci/name.ts';
import type { ActingDatabase } from './change.ts';
import type { GranteeName } from './grantee.ts';
import { grantsOf, removeGrant, setGrant } from './grants.ts';
import { createOrganisation, deleteOrganisation } from './organisations.ts';
import { createTeam } from './teams.ts';

const now = 1_000;
const alice: GranteeName = { kind: 'user', name: 'alice' };
const dev: GranteeName = { kind: 'team', name: 'acme/dev' };
const robot: GranteeName = { kind: 'robot', name: 'acme+ci' };

/** alice, and acme with a team and a robot, with a fixed clock. */
async function prepared(opened: ActingDatabase): Promise<ActingDatabase> {
  const database: ActingDatabase = { ...opened, clock: () => now, read: opened.read };
  await makeUser(database, 'alice');
  const acme = await makeOrganisation(database, 'acme');
  await makeRobot(database, 'acme+ci', acme);
  await createTeam(database, 'acme/dev');
  return database;
}

for (const { name, open } of dialects) {
  test(`${name}: a grant is set, replaced by the same pattern, listed and removed`, async (t) => {
    const database = await prepared(await open(t));
    for (const grantee of [alice, dev, robot]) {
      await setGrant(database, { pattern: 'acme/**', grantee, role: 'read' });
    }
    await setGrant(database, { pattern: 'acme/**', grantee: dev, role: 'write' });
    const row = { pattern: 'acme/**', createdAt: now } as const;
    const [ofAlice, ofDev, ofRobot] = [
      { ...row, ...alice, role: 'read' },
      { ...row, ...dev, role: 'write' },
      { ...row, ...robot, role: 'read' },
    ];
    assert.deepEqual(await grantsOf(database, undefined), [ofAlice, ofDev, ofRobot]);
    for (const one of [ofAlice, ofDev, ofRobot]) assert.deepEqual(await grantsOf(database, one), [one]);
    await removeGrant(database, 'acme/**', dev);
    assert.deepEqual(await grantsOf(database, undefined), [ofAlice, ofRobot]);
  });

  test(`${name}: removing an unknown grant lists the existing ones`, async (t) => {
    const database = await prepared(await open(t));
    await setGrant(database, { pattern: 'acme/app', grantee: dev, role: 'read' });
    const remove = () => removeGrant(database, 'acme/app', alice);
    await assert.rejects(remove(), refused('user alice has no grant for acme/app (it has no grants)'));
    for (const pattern of ['acme/b', 'acme/a']) {
      await setGrant(database, { pattern, grantee: alice, role: 'read' });
    }
    await assert.rejects(
      remove(),
      refused('user alice has no grant for acme/app (it has grants for acme/a, acme/b)'),
    );
    assert.equal((await grantsOf(database, undefined)).length, 3);
  });

  test(`${name}: no grant for an unknown grantee or an invalid pattern`, async (t) => {
    const database = await prepared(await open(t));
    const bob: GranteeName = { kind: 'user', name: 'bob' };
    const set = async (pattern: string, grantee: GranteeName) =>
      setGrant(database, { pattern, grantee, role: 'read' });
    await assert.rejects(set('acme/app', bob), refused('there is no user bob'));
    await assert.rejects(set('Acme/app', alice), refused(/^"Acme\/app" is not a valid pattern/));
    await assert.rejects(removeGrant(database, 'acme/app', bob), refused('there is no user bob'));
    await assert.rejects(grantsOf(database, bob), refused('there is no user bob'));
    assert.deepEqual(await grantsOf(database, undefined), []);
  });

  test(`${name}: no grant matches namespaces by a part of their names`, async (t) => {
    const database = await prepared(await open(t));
    const set = async (pattern: string) => setGrant(database, { pattern, grantee: alice, role: 'read' });
    for (const first of ['acme*', '*acme', 'a*e', 'acme-*']) {
      for (const rest of ['**', 'app', '*', 'web-*']) {
        await assert.rejects(
          set(`${first}/${rest}`),
          refused(new RegExp(`\\(\\*/${rest.replaceAll('*', '\\*')}\\)$`)),
        );
      }
    }
    for (const pattern of ['**', '*/app', '**/app', 'acme/web-*', 'alp*']) await set(pattern);
  });

  test(`${name}: grants of a deleted namespace do not apply to a new one with its name`, async (t) => {
    const database = await prepared(await open(t));
    const rights = async (id: number) => {
      const identity = {
        principal: { kind: 'user', id, name: 'alice' },
        credential: { kind: 'password', since: 100 },
      } as const;
      const entitlements = await loadEntitlements(database.read, identity, { now, passwordLogin: true });
      assert.ok(entitlements);
      return [...rightsOn(entitlements, parseName('acme/app'), undefined, 'none')];
    };
    const id = (await findAccount(database.read, 'alice' as AccountName))?.id as number;
    const set = async (pattern: string) => setGrant(database, { pattern, grantee: alice, role: 'admin' });
    for (const first of ['acme', 'acme*', 'a*', '*e', 'acm*e']) {
      for (const rest of ['app', '*', '**', 'a*']) {
        await set(`${first}/${rest}`).catch(refused(/name each namespace/));
      }
    }
    assert.ok((await rights(id)).includes('delete'));
    await deleteOrganisation(database, 'acme');
    await createOrganisation(database, { name: 'acme' });
    assert.deepEqual(await rights(id), []);
  });

  test(`${name}: a grant that matches nothing is created with a warning`, async (t) => {
    const database = await prepared(await open(t));
    const warningOf = async (pattern: string) =>
      (await setGrant(database, { pattern, grantee: alice, role: 'read' })).warning;
    const nobody = 'there is no user or organisation library, and no such repository';
    for (const pattern of ['acme/new', 'acme/**', '**', '*/app', 'a*']) {
      assert.equal(await warningOf(pattern), undefined, pattern);
    }
    for (const pattern of ['alpine', 'acme']) {
      assert.equal(await warningOf(pattern), `${pattern} matches nothing yet: there is no such repository`);
    }
    assert.equal(await warningOf('library/*'), `library/* matches nothing yet: ${nobody}`);
    await makeRepository(database, parseName('library/nginx'));
    await makeRepository(database, parseName('alpine'));
    await makeRepository(database, parseName('0/app'));
    for (const pattern of ['0/*', 'library/*', 'library/ng*', 'library/nginx', 'alpine']) {
      assert.equal(await warningOf(pattern), undefined, pattern);
    }
    assert.equal(
      await warningOf('library/ngin'),
      `library/ngin matches nothing yet: ${nobody}`,
      'a misspelt name',
    );
    assert.equal(await warningOf('alp'), 'alp matches nothing yet: there is no such repository', 'another');
  });
}
