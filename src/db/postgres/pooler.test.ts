import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { startChild } from '../../../test/support/child.ts';
import { cleanUp } from '../../../test/support/cleanup.ts';
import { makeRepository } from '../../../test/support/databases.ts';
import { freePort } from '../../../test/support/free-port.ts';
import { findProgram, needs } from '../../../test/support/needs.ts';
import { openTestPostgres } from '../../../test/support/postgres.ts';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { UnfitDatabase } from '../database.ts';
import { openPostgres } from './postgres.ts';

/** Starts a PgBouncer with a new database; returns its URL. */
async function pooled(t: TestContext, settings: Record<string, string | number>): Promise<string> {
  const server = new URL(await openTestPostgres(t));
  const folder = await temporaryDirectory(t);
  // PgBouncer does not run as root.
  await chmod(folder, 0o755);
  const port = await freePort();
  const all = {
    listen_addr: '127.0.0.1',
    listen_port: port,
    auth_type: 'any',
    unix_socket_dir: '',
    ignore_startup_parameters: 'extra_float_digits',
    ...settings,
  };
  const file = join(folder, 'pgbouncer.ini');
  const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}`);
  const target = `host=${server.hostname} port=${server.port} user=${server.username || 'postgres'}`;
  await writeFile(file, ['[databases]', `* = ${target}`, '[pgbouncer]', ...lines, ''].join('\n'));
  const asNobody =
    process.getuid?.() === 0 ? ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups'] : [];
  const [command, ...args] = [...asNobody, findProgram('pgbouncer') as string, file];
  await startChild(t, { command: command as string, args, env: process.env, ready: /process up/ });
  server.port = String(port);
  return server.href;
}

for (const [what, settings] of [
  ['transaction mode', { pool_mode: 'transaction' }],
  ['transaction mode with one connection', { pool_mode: 'transaction', default_pool_size: 1 }],
  [
    'transaction mode that rotates its connections',
    { pool_mode: 'transaction', server_round_robin: 1, min_pool_size: 3 },
  ],
  ['statement mode', { pool_mode: 'statement' }],
] as const) {
  test(`rejects a pooler in ${what} with a one-line error before writing anything`, async (t) => {
    if (!needs(t, 'postgres', 'pgbouncer')) return;
    const url = await pooled(t, settings);
    await assert.rejects(openPostgres({ url, poolSize: 4 }), (error: Error) => {
      assert.ok(error instanceof UnfitDatabase, String(error));
      assert.match(
        error.message,
        /pooler .*set pool_mode = session for this database, or connect to PostgreSQL directly$/,
      );
      assert.doesNotMatch(error.message, /\n/);
      return true;
    });
  });
}

test('accepts a pooler in session mode', async (t) => {
  if (!needs(t, 'postgres', 'pgbouncer')) return;
  const database = await openPostgres({ url: await pooled(t, { pool_mode: 'session' }), poolSize: 4 });
  cleanUp(t, () => database.close());
  assert.ok(await makeRepository(database));
  await database.ping();
});
