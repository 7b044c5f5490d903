import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, makeOrganisation, makeUser, openReplica } from '../../test/support/databases.ts';
import { whyUnusable } from '../../test/support/needs.ts';
import { openTestPostgres } from '../../test/support/postgres.ts';
import { verifyPassword } from '../access/login/passwords.ts';
import { setDisabled } from '../db/accounts.ts';
import { findUser, listUsers, updateUser } from '../db/users.ts';
import type { Namespace } from '../oci/name.ts';
import { makeFirstAdministrator } from './first-administrator.ts';

const admin = 'admin' as Namespace;

for (const { name, open } of dialects) {
  test(`${name}: creates an administrator with a random password if there is none`, async (t) => {
    const database = await open(t);
    const made = await makeFirstAdministrator(database, { name: 'admin' });
    assert.equal(made?.name, 'admin');
    assert.match(made?.password as string, /^[A-Za-z0-9]{24}$/);
    const user = await findUser(database.read, admin);
    assert.equal(user?.administrator, true);
    assert.equal(user.tokenOnly, false, 'the password can log in');
    assert.equal(user.mail, null);
    assert.ok(await verifyPassword(made?.password as string, user?.password as string));
    assert.equal(await makeFirstAdministrator(database, { name: 'admin' }), undefined, 'once');
  });

  test(`${name}: uses a configured password, and does not show it`, async (t) => {
    const database = await open(t);
    const made = await makeFirstAdministrator(database, { name: 'root', password: 'correct horse' });
    assert.deepEqual(made, { name: 'root', password: undefined });
    const user = await findUser(database.read, 'root' as Namespace);
    assert.ok(await verifyPassword('correct horse', user?.password as string));
  });

  test(`${name}: creates no administrator while an enabled one exists`, async (t) => {
    const database = await open(t);
    const alice = await makeUser(database, 'alice');
    await database.transaction((db) => updateUser(db, alice, { administrator: true }));
    assert.equal(await makeFirstAdministrator(database, { name: 'admin' }), undefined);
    const unusable = { name: 'No Name', password: 'short' };
    assert.equal(await makeFirstAdministrator(database, unusable), undefined, 'invalid settings are ignored');
    await database.transaction((db) => setDisabled(db, alice, 1));
    assert.equal((await makeFirstAdministrator(database, { name: 'admin' }))?.name, 'admin');
  });

  test(`${name}: refuses a name that is taken`, async (t) => {
    const database = await open(t);
    await makeOrganisation(database, 'acme');
    await makeUser(database, 'admin');
    for (const name of ['acme', 'admin']) {
      await assert.rejects(makeFirstAdministrator(database, { name }), {
        name: 'Refused',
        message: new RegExp(
          `one named ${name} cannot be created, because the name is taken: .*berth user set NAME --admin.*BERTH_ADMIN_NAME`,
        ),
      });
    }
    assert.equal((await findUser(database.read, admin))?.administrator, false);
  });

  test(`${name}: of two concurrent calls one creates the administrator`, async (t) => {
    const database = await open(t);
    const made = await Promise.all(
      ['one', 'other'].map((name) => makeFirstAdministrator(database, { name })),
    );
    assert.equal(made.filter((one) => one !== undefined).length, 1);
    assert.equal((await listUsers(database.read, '', 10)).length, 1);
  });

  test(`${name}: creates no administrator with an unacceptable password`, async (t) => {
    const database = await open(t);
    await assert.rejects(makeFirstAdministrator(database, { name: 'admin', password: 'short' }), /too short/);
    assert.deepEqual(await listUsers(database.read, '', 1), []);
  });
}

test('of many processes on one database one creates the administrator', {
  skip: whyUnusable('postgres'),
}, async (t) => {
  const url = await openTestPostgres(t);
  const replicas = await Promise.all([1, 2, 3, 4].map(() => openReplica(t, url, 2)));
  const made = await Promise.all(
    replicas.map((replica, i) => makeFirstAdministrator(replica, { name: `admin${i % 2}` })),
  );
  assert.equal(made.filter((one) => one !== undefined).length, 1);
  assert.equal((await listUsers(replicas[0]!.read, '', 10)).length, 1);
});
