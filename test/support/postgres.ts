import { randomBytes } from 'node:crypto';
import { after, type TestContext } from 'node:test';
import type { Client } from 'pg';
import { openPostgres } from '../../src/db/postgres/postgres.ts';
import { cleanUp } from './cleanup.ts';
import { asAdministrator, type PostgresServer, sharedServer, startSharedServer } from './postgres-server.ts';

let own: Promise<PostgresServer> | undefined;
after(async () => (await own)?.stop());

async function serverUrl(): Promise<string> {
  const shared = process.env[sharedServer];
  if (shared !== undefined) return shared;
  own ??= startSharedServer();
  return (await own).url;
}

const template = 'berth_template';
let templated: Promise<void> | undefined;

/** Creates a migrated, empty database for the duration of the test; returns its URL. Copies a template, five times as fast as migrating. */
export async function openMigratedPostgres(t: TestContext): Promise<string> {
  templated ??= serverUrl().then((server) => asAdministrator(server, makeTemplate));
  await templated;
  return openTestPostgres(t, `template ${template} strategy file_copy`);
}

/** Creates the template once for all processes that share the server. */
async function makeTemplate(admin: Client): Promise<void> {
  await admin.query('select pg_advisory_lock(hashtext($1))', [template]);
  const made = await admin.query('select from pg_database where datname = $1 and datistemplate', [template]);
  if (made.rowCount === 0) {
    await admin.query(`create database ${template}`);
    const url = new URL(await serverUrl());
    url.pathname = template;
    await (await openPostgres({ url: url.href, poolSize: 2 })).close();
    // Only a database without connections can be copied, and the server notices a moment later that a client has disconnected.
    await admin.query(`alter database ${template} with allow_connections false is_template true`);
    await admin.query('select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1', [
      template,
    ]);
  }
  await admin.query('select pg_advisory_unlock(hashtext($1))', [template]);
}

/** Creates an empty database for the duration of the test; returns its URL. `options` as in `create database`. */
export async function openTestPostgres(t: TestContext, options = ''): Promise<string> {
  const server = await serverUrl();
  const name = `test_${randomBytes(8).toString('hex')}`;
  await asAdministrator(server, (admin) => admin.query(`create database ${name} ${options}`));
  cleanUp(t, () => asAdministrator(server, (admin) => admin.query(`drop database ${name} with (force)`)));
  const url = new URL(server);
  url.pathname = name;
  return url.href;
}
