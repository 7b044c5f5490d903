import { randomBytes } from 'node:crypto';
import { after, type TestContext } from 'node:test';
import { cleanUp } from './cleanup.ts';
import {
  asAdministrator,
  type PostgresServer,
  sharedServer,
  startPostgresServer,
} from './postgres-server.ts';

let own: Promise<PostgresServer> | undefined;
after(async () => (await own)?.stop());

async function serverUrl(): Promise<string> {
  const shared = process.env[sharedServer];
  if (shared !== undefined) return shared;
  own ??= startPostgresServer();
  return (await own).url;
}

/** The URL of an empty database that goes with the test. `options` as in `create database`. */
export async function openTestPostgres(t: TestContext, options = ''): Promise<string> {
  const server = await serverUrl();
  const name = `test_${randomBytes(8).toString('hex')}`;
  await asAdministrator(server, (admin) => admin.query(`create database ${name} ${options}`));
  cleanUp(t, () => asAdministrator(server, (admin) => admin.query(`drop database ${name} with (force)`)));
  const url = new URL(server);
  url.pathname = name;
  return url.href;
}
