import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type ActingDatabase, actAs } from '../../src/administration/change.ts';
import { type App, type AppParts, createApp } from '../../src/app.ts';
import { type Config, configSchema } from '../../src/config/schema.ts';
import { system } from '../../src/db/changes.ts';
import { openDatabase } from '../../src/open.ts';
import { openBackend } from './backends.ts';
import { writeMigratedSqlite } from './sqlite-template.ts';

export interface TestRegistry {
  readonly app: App;
  readonly data: string;
  /** The registry's database, for changes made by the command line instead of the API; they are recorded for `system`. */
  readonly database: ActingDatabase;
}

/** The password of the administrator `admin` of a registry with logins. */
export const administratorPassword = 'correct horse battery staple';

/** Any part of the configuration, as in a file. */
export type ConfigInput = Record<string, unknown>;

/**
 * A complete registry in this process, with its own data directory, for the duration of the test. Uses the backend of the run (see
 * backends.ts), unless the test passes its own parts.
 */
export async function testRegistry(
  t: TestContext,
  overrides: ConfigInput = {},
  parts?: (data: string) => Promise<AppParts>,
): Promise<TestRegistry> {
  const data = await mkdtemp(join(tmpdir(), 'berth-test-'));
  // Not used with PostgreSQL.
  await writeMigratedSqlite(join(data, 'berth.db'));
  const backend = parts ? { settings: {}, parts: await parts(data) } : await openBackend(t);
  const config: Config = configSchema.parse({
    data,
    listen: '127.0.0.1:0',
    log: { level: 'silent' },
    admin: { password: administratorPassword },
    ...backend.settings,
    ...overrides,
  });
  const database = backend.parts.database ?? (await openDatabase(config, { checkpoints: false }));
  const app = await createApp(config, { ...backend.parts, database });
  t.after(async () => {
    await app.close();
    await rm(data, { recursive: true, force: true });
  });
  return { app, data, database: actAs(database, system) };
}
