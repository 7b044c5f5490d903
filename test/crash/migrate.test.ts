import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createApp } from '../../src/app.ts';
import { configSchema } from '../../src/config/schema.ts';
import { run } from '../support/command.ts';
import { examine } from '../support/fsck.ts';
import { Client } from '../support/inject.ts';
import { startBerth } from '../support/process.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { AcknowledgedContent } from './acknowledged.ts';
import { clientOf } from './http-client.ts';

const execute = promisify(execFile);
const migrateAndDie = fileURLToPath(new URL('migrate-and-die.ts', import.meta.url));
const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** Migrates in a process that dies before the migration `last` is committed. */
async function dieIn(data: string, last: string): Promise<void> {
  const dying = execute(process.execPath, [migrateAndDie, join(data, 'berth.db'), last]);
  await assert.rejects(dying, { signal: 'SIGKILL' });
}

function migrationsOf(data: string): string[] {
  const database = new DatabaseSync(join(data, 'berth.db'), { readOnly: true });
  try {
    return database
      .prepare('select name from kysely_migration')
      .all()
      .map(({ name }) => String(name));
  } finally {
    database.close();
  }
}

/** A data directory with an image in it. */
async function filled(t: TestContext): Promise<{ data: string; acknowledged: AcknowledgedContent }> {
  const data = await temporaryDirectory(t);
  const app = await createApp(configSchema.parse({ data, log: { level: 'silent' } }));
  const acknowledged = new AcknowledgedContent();
  acknowledged.manifest('app', await new Client(app.http).pushImage('app', 'v1'), 'v1');
  await app.close();
  return { data, acknowledged };
}

describe('a process killed during a migration', () => {
  test('leaves a new directory that the next start completes', async (t) => {
    const data = await temporaryDirectory(t);
    await dieIn(data, '0001-registry');
    const berth = await startBerth(t, { data });
    await clientOf(berth.url).pushImage('app', 'v1');
    const { findings, walked } = await examine(data);
    assert.deepEqual([findings, walked.manifests], [[], 1]);
  });

  test('leaves an existing directory unchanged', async (t) => {
    const { data, acknowledged } = await filled(t);
    const before = migrationsOf(data);
    await dieIn(data, '9999-slow');
    assert.deepEqual(migrationsOf(data), before);
    const berth = await startBerth(t, { data });
    await acknowledged.assertAllThere(clientOf(berth.url));
    assert.deepEqual((await examine(data)).findings, []);
  });
});

test('a database of a newer version ends the start with one line and is not changed', async (t) => {
  const { data, acknowledged } = await filled(t);
  const database = new DatabaseSync(join(data, 'berth.db'));
  t.after(() => database.close());
  database.exec(`insert into kysely_migration values ('9999-future', '2099-01-01')`);
  const serve = execute(process.execPath, [main, 'serve', '--data', data, '--listen', '127.0.0.1:0']);
  await assert.rejects(serve, (error: { code: number; stderr: string }) => {
    assert.equal(error.code, 1);
    assert.match(
      error.stderr,
      /^berth: the database was written by a newer Berth \(it has 9999-future\).*\n$/,
    );
    return true;
  });
  database.exec(`delete from kysely_migration where name = '9999-future'`);
  const berth = await startBerth(t, { data });
  await acknowledged.assertAllThere(clientOf(berth.url));
});

test('processes opening a new database together migrate it once', async (t) => {
  const data = await temporaryDirectory(t);
  const open = `import { openSqlite } from ${JSON.stringify(new URL('../../src/db/sqlite/sqlite.ts', import.meta.url).href)};
    await (await openSqlite(${JSON.stringify(join(data, 'berth.db'))})).close();`;
  await Promise.all(
    Array.from({ length: 4 }, () =>
      run(process.execPath, ['--input-type=module-typescript', '--eval', open]),
    ),
  );
  assert.equal(new Set(migrationsOf(data)).size, migrationsOf(data).length);
  assert.deepEqual((await examine(data)).findings, []);
});
