// The first start creates the administrator; tested with real processes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verifyPassword } from '../../src/access/login/passwords.ts';
import { findUser } from '../../src/db/users.ts';
import type { Namespace } from '../../src/oci/name.ts';
import { openDatabase } from '../../src/open.ts';
import { whyUnusable } from '../support/needs.ts';
import { openTestPostgres } from '../support/postgres.ts';
import { type BerthOptions, type BerthProcess, startBerth } from '../support/process.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const withLogins = ['--allow-anonymous', 'public'];
const announcement = /password is shown only once:\n {2}user name: (\S+)\n {2}password: {2}(\S+)\n/g;

function printedLogins(...processes: BerthProcess[]): { name: string; password: string }[] {
  const matches = processes.flatMap((process) => [...process.output().matchAll(announcement)]);
  return matches.map(([, name = '', password = '']) => ({ name, password }));
}

/** Whether an administrator in the database has this name and password. */
async function isAdministrator(
  place: { data: string; database?: string },
  { name, password }: { name: string; password: string },
): Promise<boolean> {
  const { data, database: url } = place;
  await using opened = new AsyncDisposableStack();
  const database = await openDatabase({ data, database: { poolSize: 1, ...(url && { url }) } });
  opened.defer(() => database.close());
  const user = await findUser(database.read, name as Namespace);
  return user?.administrator === true && verifyPassword(password, user.password ?? undefined);
}

test('only the first start prints the administrator’s password, as plain lines', async (t) => {
  const first = await startBerth(t, { args: withLogins });
  await first.stop();
  const [administrator, ...more] = printedLogins(first);
  assert.deepEqual(more, []);
  assert.match(first.output(), /\n {2}docker login --username admin localhost/);
  assert.equal(first.output().split(administrator!.password).length, 2, 'the password is in one line only');
  assert.ok(await isAdministrator(first, administrator!));
  const second = await startBerth(t, { data: first.data, args: withLogins });
  await second.stop();
  assert.deepEqual(printedLogins(second), []);
  assert.ok(await isAdministrator(first, administrator!));
});

test('a registry without logins creates no administrator', async (t) => {
  const open = await startBerth(t);
  await open.stop();
  assert.deepEqual(printedLogins(open), []);
});

test('a configured password works and is printed nowhere', async (t) => {
  const env = { BERTH_ADMIN_NAME: 'root', BERTH_ADMIN_PASSWORD: 'canary-canary' };
  const started = await startBerth(t, { args: withLogins, env });
  await started.stop();
  assert.ok(!started.output().includes('canary'));
  assert.deepEqual(printedLogins(started), []);
  assert.ok(await isAdministrator(started, { name: 'root', password: 'canary-canary' }));
});

test('one of two workers creates the administrator', async (t) => {
  const started = await startBerth(t, { args: [...withLogins, '--workers', '2'] });
  await started.stop();
  assert.equal(printedLogins(started).length, 1);
  assert.ok(await isAdministrator(started, printedLogins(started)[0]!));
});

test('of two processes starting together on one PostgreSQL, one prints the password', {
  skip: whyUnusable('postgres'),
}, async (t) => {
  const url = await openTestPostgres(t);
  const data = await temporaryDirectory(t, 'berth-data');
  const options: BerthOptions = { data, args: withLogins, env: { BERTH_DATABASE_URL: url } };
  const both = await Promise.all([startBerth(t, options), startBerth(t, options)]);
  for (const one of both) await one.stop();
  assert.equal(printedLogins(...both).length, 1);
  assert.ok(await isAdministrator({ data, database: url }, printedLogins(...both)[0]!));
});

test('a taken name ends the start with an error and its remedy', async (t) => {
  const open = await startBerth(t);
  await open.stop();
  const database = await openDatabase({ data: open.data, database: { poolSize: 1 } });
  await database.transaction((db) =>
    db.insertInto('accounts').values({ name: 'admin', kind: 'organisation', created_at: 1 }).execute(),
  );
  await database.close();
  await assert.rejects(
    startBerth(t, { data: open.data, args: withLogins }),
    /berth: this registry has no administrator, and one named admin cannot be created, because the name is taken: .*BERTH_ADMIN_NAME/,
  );
});
