import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { cleanUp } from '../../../test/support/cleanup.ts';
import { digestNumber, makeRepository } from '../../../test/support/databases.ts';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { parseName } from '../../oci/name.ts';
import { type Database, DatabaseUnavailable } from '../database.ts';
import { ensureManifest } from '../manifests.ts';
import { findRepository } from '../repositories.ts';
import { openSqlite } from './sqlite.ts';

const a = parseName('a');

async function openIn(t: TestContext): Promise<{ database: Database; path: string }> {
  const path = join(await temporaryDirectory(t), 'berth.db');
  const database = await openSqlite(path);
  cleanUp(t, () => database.close());
  return { database, path };
}

/** Permission bits of a file, in octal. */
async function modeOf(path: string): Promise<string> {
  return ((await stat(path)).mode & 0o777).toString(8);
}

test('only the owner can read the database and a directory created for it', async (t) => {
  const data = join(await temporaryDirectory(t), 'data');
  const path = join(data, 'berth.db');
  const database = await openSqlite(path);
  cleanUp(t, () => database.close());
  await makeRepository(database, a);
  for (const file of [path, `${path}-wal`, `${path}-shm`]) assert.equal(await modeOf(file), '600', file);
  assert.equal(await modeOf(data), '700');
});

test('an existing database and directory keep their mode', async (t) => {
  const { database, path } = await openIn(t);
  await database.close();
  await chmod(path, 0o640);
  await chmod(dirname(path), 0o750);
  const again = await openSqlite(path);
  cleanUp(t, () => again.close());
  assert.deepEqual([await modeOf(path), await modeOf(dirname(path))], ['640', '750']);
});

/** Starts another process that holds the database's lock until it is killed. */
async function lockedByAnother(t: TestContext, path: string): Promise<ChildProcess> {
  const script = `
    const { DatabaseSync } = require('node:sqlite');
    const database = new DatabaseSync(process.argv[1], { timeout: 5000 });
    database.exec('begin exclusive');
    console.log('held');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--eval', script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  cleanUp(t, () => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

/** Counts file syncs. `hold` delays those that begin after it, until the function that it returns is called. */
async function watchSyncs(t: TestContext): Promise<{ count: () => number; hold: () => () => void }> {
  const file = await open(process.execPath);
  const prototype = Object.getPrototypeOf(file) as FileHandle;
  await file.close();
  const datasync = prototype.datasync;
  let count = 0;
  let held: Promise<void> | undefined;
  t.mock.method(prototype, 'datasync', async function (this: FileHandle) {
    count += 1;
    await held;
    return datasync.call(this);
  });
  return {
    count: () => count,
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>();
      held = promise;
      return () => {
        if (held === promise) held = undefined;
        resolve();
      };
    },
  };
}

test("waits for another process's lock while reads continue", async (t) => {
  const { database, path } = await openIn(t);
  const child = await lockedByAnother(t, path);
  let done = false;
  const waiting = makeRepository(database, a).then(() => {
    done = true;
  });
  assert.equal(await findRepository(database.read, a), undefined);
  assert.equal(done, false);
  child.kill('SIGKILL');
  await waiting;
  assert.ok(await findRepository(database.read, a));
});

test('under a lasting lock all waiting transactions fail with DatabaseUnavailable after one timeout, without blocking the event loop', async (t) => {
  const { database, path } = await openIn(t);
  const child = await lockedByAnother(t, path);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const start = performance.now();
  const results = await Promise.allSettled(Array.from({ length: 10 }, () => makeRepository(database, a)));
  const elapsed = performance.now() - start;
  delay.disable();
  for (const result of results) {
    assert.ok(result.status === 'rejected' && result.reason instanceof DatabaseUnavailable);
  }
  assert.ok(elapsed >= 5_000 && elapsed < 8_000, `${elapsed} ms`);
  // SQLite's own wait would block the event loop for its whole timeout at each of a hundred attempts.
  assert.ok(
    delay.percentile(90) < 20e6,
    `the 90th percentile of the loop's delay is ${delay.percentile(90) / 1e6} ms`,
  );
  child.kill('SIGKILL');
  await once(child, 'exit');
  await makeRepository(database, a);
});

test('concurrent transactions share syncs', async (t) => {
  const { database } = await openIn(t);
  await makeRepository(database, a);
  const syncs = await watchSyncs(t);
  const names = Array.from({ length: 200 }, (_, i) => parseName(`b${i}`));
  await Promise.all(names.map((name) => makeRepository(database, name)));
  assert.ok(syncs.count() >= 1 && syncs.count() <= 20, `${syncs.count()} syncs for 200 transactions`);
});

test('each sequential transaction has one sync, and none with durable: false', async (t) => {
  const { database } = await openIn(t);
  const syncs = await watchSyncs(t);
  for (let i = 1; i <= 5; i++) {
    await makeRepository(database, parseName(`b${i}`));
    assert.equal(syncs.count(), i);
  }
  await database.transaction(async () => {}, { durable: false });
  assert.equal(syncs.count(), 5);
});

test('a transaction resolves only after a sync that began after its commit', async (t) => {
  const { database } = await openIn(t);
  await makeRepository(database, a);
  const syncs = await watchSyncs(t);
  const release = syncs.hold();
  const answered: string[] = [];
  const commit = (name: string) => makeRepository(database, parseName(name)).then(() => answered.push(name));
  const first = commit('first');
  while (syncs.count() < 1) await new Promise(setImmediate);
  // The second transaction commits during the first sync, which may not include it.
  const second = commit('second');
  while ((await findRepository(database.read, parseName('second'))) === undefined)
    await new Promise(setImmediate);
  assert.deepEqual([answered, syncs.count()], [[], 1]);
  const holdNext = syncs.hold();
  release();
  await first;
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
  assert.deepEqual(answered, ['first']);
  while (syncs.count() < 2) await new Promise(setImmediate);
  holdNext();
  await second;
});

test('after a failed sync transactions and pings fail until the database is reopened', async (t) => {
  const { database, path } = await openIn(t);
  const file = await open(process.execPath);
  const prototype = Object.getPrototypeOf(file) as FileHandle;
  await file.close();
  const broken = t.mock.method(prototype, 'datasync', async () => {
    throw Object.assign(new Error('i/o error'), { code: 'EIO' });
  });
  await assert.rejects(makeRepository(database, a), /syncing .* failed/);
  broken.mock.restore();
  await assert.rejects(makeRepository(database, a), /syncing .* failed/);
  await assert.rejects(database.ping(), /syncing .* failed/);
  const again = await openSqlite(path);
  cleanUp(t, () => again.close());
  await again.ping();
  await makeRepository(again, a);
});

test('the log is checkpointed during writes and its size stays bounded', async (t) => {
  const { database, path } = await openIn(t);
  const repository = await makeRepository(database, a);
  const bytes = Buffer.alloc(1 << 20);
  const manifest = {
    repository,
    mediaType: 'a/b',
    bytes,
    subject: null,
    artifactType: null,
    annotations: null,
  };
  const logSize = async () => (await stat(`${path}-wal`)).size;
  let written = 0;
  // Without resets the log would contain all writes.
  while (written < 16 || (await logSize()) > (written << 20) / 2) {
    assert.ok(written < 1_000, `${await logSize()} bytes of log after ${written} MiB`);
    const digest = digestNumber(written);
    await database.transaction((db) => ensureManifest(db, { ...manifest, digest }, 1));
    written += 1;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.ok((await stat(path)).size > 4 << 20);
});

test('the log is truncated when idle and deleted on close', async (t) => {
  const path = join(await temporaryDirectory(t), 'berth.db');
  const database = await openSqlite(path);
  await makeRepository(database, a);
  assert.ok((await stat(`${path}-wal`)).size > 0);
  while ((await stat(`${path}-wal`)).size > 0) await new Promise((resolve) => setTimeout(resolve, 50));
  await makeRepository(database, parseName('another'));
  await database.close();
  await assert.rejects(stat(`${path}-wal`), { code: 'ENOENT' });
});

test('the process that makes checkpoints empties the log on close while another has the database open', async (t) => {
  const path = join(await temporaryDirectory(t), 'berth.db');
  const database = await openSqlite(path);
  const other = await openSqlite(path, { checkpoints: false });
  cleanUp(t, () => other.close());
  await makeRepository(other, a);
  await database.close();
  assert.equal((await stat(`${path}-wal`)).size, 0);
});

test('a ping of a read-only database succeeds only with write: false', async (t) => {
  const { database, path } = await openIn(t);
  const other = new DatabaseSync(path);
  other.exec(`create trigger refuse before insert on properties begin select raise(abort, 'no writes'); end`);
  other.close();
  await assert.rejects(database.ping(), /no writes/);
  await database.ping({ write: false });
});

for (const [what, harm] of [
  ['deleted', rm],
  ['moved away', (path: string) => rename(path, `${path}.old`)],
  [
    'replaced by a copy',
    (path: string) => copyFile(path, `${path}.new`).then(() => rename(`${path}.new`, path)),
  ],
  ['moved with its folder', (path: string) => rename(dirname(path), `${dirname(path)}.old`)],
] as const) {
  test(`pings fail after the database file was ${what}`, async (t) => {
    const path = join(await temporaryDirectory(t), 'data', 'berth.db');
    const database = await openSqlite(path, { checkpoints: false });
    cleanUp(t, () => database.close());
    await database.ping();
    await harm(path);
    for (const write of [true, false]) {
      await assert.rejects(database.ping({ write }), (error: Error) => {
        assert.ok(error instanceof DatabaseUnavailable);
        assert.match(error.message, /^the database file .*berth\.db is gone: stop Berth and restore it$/);
        return true;
      });
    }
  });
}

test('a reopened database has all its data', async (t) => {
  const path = join(await temporaryDirectory(t), 'deep', 'berth.db');
  const first = await openSqlite(path);
  const id = await makeRepository(first, a);
  await first.close();
  const second = await openSqlite(path);
  cleanUp(t, () => second.close());
  assert.equal(await findRepository(second.read, a), id);
});
