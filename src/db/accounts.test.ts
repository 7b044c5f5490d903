import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, makeOrganisation, makeUser } from '../../test/support/databases.ts';
import type { AccountName, Namespace } from '../oci/name.ts';
import {
  deleteAccount,
  findAccount,
  findAccountById,
  insertAccount,
  listAccounts,
  setDefaultVisibility,
  setDisabled,
} from './accounts.ts';
import type { Database } from './database.ts';
import { lockAccounts } from './locks.ts';
import { setMember } from './members.ts';
import { addTeamMember } from './team-members.ts';
import { insertTeam } from './teams.ts';

const acme = 'acme' as AccountName;

function makeRobot(database: Database, ownerId: number, name: string): Promise<number | undefined> {
  const robot = { name: name as AccountName, kind: 'robot', ownerId } as const;
  return database.transaction((db) => insertAccount(db, robot, 1));
}

for (const { name, open } of dialects) {
  test(`${name}: finds an account by name and by id`, async (t) => {
    const database = await open(t);
    assert.equal(await findAccount(database.read, acme), undefined);
    const id = await makeOrganisation(database, 'acme');
    const account = {
      id,
      name: 'acme',
      kind: 'organisation',
      ownerId: null,
      defaultVisibility: 'private',
      disabledAt: null,
      createdAt: 1,
    };
    assert.deepEqual({ ...(await findAccount(database.read, acme)) }, account);
    assert.deepEqual({ ...(await findAccountById(database.read, id)) }, account);
    assert.equal(await findAccountById(database.read, id + 1), undefined);
  });

  test(`${name}: a name is unique across all kinds of account`, async (t) => {
    const database = await open(t);
    await makeOrganisation(database, 'acme');
    assert.equal(
      await database.transaction((db) => insertAccount(db, { name: acme, kind: 'user' }, 2)),
      undefined,
    );
    assert.equal((await findAccount(database.read, acme))?.kind, 'organisation');
  });

  test(`${name}: a new account with the name of a deleted one has another id`, async (t) => {
    const database = await open(t);
    const id = await makeOrganisation(database, 'acme');
    await database.transaction((db) => deleteAccount(db, { id, name: acme }));
    assert.notEqual(await makeOrganisation(database, 'acme'), id);
  });

  test(`${name}: lists accounts of a kind in byte order, page by page`, async (t) => {
    const database = await open(t);
    for (const user of ['b', 'a-b', 'a_b', 'a.b', 'a0']) await makeUser(database, user);
    await makeOrganisation(database, 'a1');
    const names = async (after: string, limit: number) =>
      (await listAccounts(database.read, 'user', after, limit)).map((account) => account.name);
    assert.deepEqual(await names('', 100), ['a-b', 'a.b', 'a0', 'a_b', 'b']);
    assert.deepEqual(await names('a.b', 2), ['a0', 'a_b']);
    assert.deepEqual(await names('b', 2), []);
  });

  test(`${name}: disabling a disabled account keeps its time`, async (t) => {
    const database = await open(t);
    const id = await makeUser(database, 'alice');
    const disabledAt = async () => (await findAccountById(database.read, id))?.disabledAt;
    for (const [at, expected] of [
      [5, 5],
      [9, 5],
      [null, null],
      [9, 9],
    ] as const) {
      await database.transaction((db) => setDisabled(db, id, at));
      assert.equal(await disabledAt(), expected);
    }
  });

  test(`${name}: sets the default visibility of one account`, async (t) => {
    const database = await open(t);
    const [one, other] = [await makeOrganisation(database, 'one'), await makeOrganisation(database, 'other')];
    await database.transaction((db) => setDefaultVisibility(db, one, 'public'));
    assert.equal((await findAccountById(database.read, one))?.defaultVisibility, 'public');
    assert.equal((await findAccountById(database.read, other))?.defaultVisibility, 'private');
  });

  test(`${name}: deletes an account with its robots and all their data, and nothing of others`, async (t) => {
    const database = await open(t);
    const alice = await makeUser(database, 'alice');
    const ids = [await makeOrganisation(database, 'acme'), await makeOrganisation(database, 'other')];
    for (const id of ids) {
      await makeRobot(database, id, `${(await findAccountById(database.read, id))?.name}+ci`);
      await database.transaction(async (db) => {
        const team = (await insertTeam(db, { organisation: id, name: 'dev', group: null }, 1)) as number;
        await setMember(db, id, alice, 'read');
        await addTeamMember(db, team, alice, 'local');
        const grant = { pattern: `x${id}/**`, role: 'read', created_at: 1 } as const;
        await db
          .insertInto('grants')
          .values({ ...grant, account_id: id, team_id: null })
          .execute();
        await db
          .insertInto('grants')
          .values({ ...grant, account_id: null, team_id: team })
          .execute();
        const trust = { name: 'ci', issuer: 'i', audience: 'a', keys: null, claims: '{}', scopes: 's' };
        await db
          .insertInto('trusts')
          .values({ ...trust, organisation_id: id, lifetime: 1, created_at: 1, updated_at: 1 })
          .execute();
      });
    }
    const given = ['acme/**', 'acme/app', 'acme', 'acme-b/**', 'acme0/x', 'acm*/**', '**'];
    for (const pattern of given) {
      const grant = { pattern, account_id: alice, team_id: null, role: 'read', created_at: 1 } as const;
      await database.transaction((db) => db.insertInto('grants').values(grant).execute());
    }
    await database.transaction((db) => deleteAccount(db, { id: ids[0] as number, name: acme }));
    const left = await database.read.selectFrom('grants').select('pattern').orderBy('id').execute();
    const others = [`x${ids[1]}/**`, `x${ids[1]}/**`, 'acme', 'acme-b/**', 'acme0/x', 'acm*/**', '**'];
    assert.deepEqual(
      left.map(({ pattern }) => pattern),
      others,
    );
    for (const [table, count] of [
      ['accounts', 3],
      ['members', 1],
      ['teams', 1],
      ['team_members', 1],
      ['trusts', 1],
    ] as const) {
      assert.equal((await database.read.selectFrom(table).selectAll().execute()).length, count, table);
    }
    assert.equal(await findAccount(database.read, 'acme+ci' as AccountName), undefined);
    assert.equal((await findAccount(database.read, 'other+ci' as AccountName))?.ownerId, ids[1]);
  });

  test(`${name}: stores SQL injection attempts as text`, async (t) => {
    const database = await open(t);
    for (const text of ["'; drop table accounts; --", '%', "' or '1'='1"]) {
      assert.equal(await findAccount(database.read, text as Namespace), undefined);
      const id = await makeOrganisation(database, text);
      assert.equal((await findAccount(database.read, text as Namespace))?.id, id);
    }
  });

  test(`${name}: transactions that lock accounts see each other's changes`, async (t) => {
    const database = await open(t);
    const seen = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        database.transaction(async (db) => {
          await lockAccounts(db);
          const accounts = await listAccounts(db, 'organisation', '', 100);
          await insertAccount(db, { name: `org${index}` as AccountName, kind: 'organisation' }, 1);
          return accounts.length;
        }),
      ),
    );
    assert.deepEqual(
      seen.sort((a, b) => a - b),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    );
  });
}
