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
import { insertManifest } from '../manifests.ts';
import { findRepository } from '../repositories.ts';
import { openSqlite } from './sqlite.ts';

const a = parseName('a');

async function openIn(t: TestContext): Promise<{ database: Database; path: string }> {
  const path = join(await temporaryDirectory(t), 'berth.db');
  const database = await openSqlite(path);
  cleanUp(t, () => database.close());
  return { database, path };
}

/** The permission bits of a file, in octal digits. */
async function modeOf(path: string): Promise<string> {
  return ((await stat(path)).mode & 0o777).toString(8);
}

test('nobody but its owner may read the database, nor the directory that is made for it', async (t) => {
  const data = join(await temporaryDirectory(t), 'data');
  const path = join(data, 'berth.db');
  const database = await openSqlite(path);
  cleanUp(t, () => database.close());
  await makeRepository(database, a);
  for (const file of [path, `${path}-wal`, `${path}-shm`]) assert.equal(await modeOf(file), '600', file);
  assert.equal(await modeOf(data), '700');
});

test('a database and a directory that are there keep the mode that they were given', async (t) => {
  const { database, path } = await openIn(t);
  await database.close();
  await chmod(path, 0o640);
  await chmod(dirname(path), 0o750);
  const again = await openSqlite(path);
  cleanUp(t, () => again.close());
  assert.deepEqual([await modeOf(path), await modeOf(dirname(path))], ['640', '750']);
});

/** Another process that holds the database's lock until it is killed. */
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

/** Counts the syncs of files, each held back until `go` is called when there is one to hold. */
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

test('a lock that another process gives up is waited for, and reading goes on meanwhile', async (t) => {
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

test('a lock that stays is DatabaseUnavailable for all who wait, after one wait, and the loop runs on', async (t) => {
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
  // SQLite's own wait would hold the loop for its whole timeout at each of a hundred tries.
  assert.ok(
    delay.percentile(90) < 20e6,
    `the 90th percentile of the loop's delay is ${delay.percentile(90) / 1e6} ms`,
  );
  child.kill('SIGKILL');
  await once(child, 'exit');
  await makeRepository(database, a);
});

test('transactions at once share their syncs', async (t) => {
  const { database } = await openIn(t);
  await makeRepository(database, a);
  const syncs = await watchSyncs(t);
  const names = Array.from({ length: 200 }, (_, i) => parseName(`b${i}`));
  await Promise.all(names.map((name) => makeRepository(database, name)));
  assert.ok(syncs.count() >= 1 && syncs.count() <= 20, `${syncs.count()} syncs for 200 transactions`);
});

test('one transaction after the other has a sync each; one that need not be durable has none', async (t) => {
  const { database } = await openIn(t);
  const syncs = await watchSyncs(t);
  for (let i = 1; i <= 5; i++) {
    await makeRepository(database, parseName(`b${i}`));
    assert.equal(syncs.count(), i);
  }
  await database.transaction(async () => {}, { durable: false });
  assert.equal(syncs.count(), 5);
});

test('a transaction is not answered before a sync that began after its commit has ended', async (t) => {
  const { database } = await openIn(t);
  await makeRepository(database, a);
  const syncs = await watchSyncs(t);
  const release = syncs.hold();
  const answered: string[] = [];
  const commit = (name: string) => makeRepository(database, parseName(name)).then(() => answered.push(name));
  const first = commit('first');
  while (syncs.count() < 1) await new Promise(setImmediate);
  // It commits while the first sync runs, which may have begun too early for it.
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

test('a database that could not sync takes no transaction and answers no ping until it is opened again', async (t) => {
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

test('the log is carried over into the database while it runs, and does not grow without bound', async (t) => {
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
  // A log that nothing reset would be as long as all that was written.
  while (written < 16 || (await logSize()) > (written << 20) / 2) {
    assert.ok(written < 1_000, `${await logSize()} bytes of log after ${written} MiB`);
    const digest = digestNumber(written);
    await database.transaction((db) => insertManifest(db, { ...manifest, digest }, 1));
    written += 1;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.ok((await stat(path)).size > 4 << 20);
});

test('the log is emptied when nobody writes, and gone when the database is closed', async (t) => {
  const path = join(await temporaryDirectory(t), 'berth.db');
  const database = await openSqlite(path);
  await makeRepository(database, a);
  assert.ok((await stat(`${path}-wal`)).size > 0);
  while ((await stat(`${path}-wal`)).size > 0) await new Promise((resolve) => setTimeout(resolve, 50));
  await makeRepository(database, parseName('another'));
  await database.close();
  await assert.rejects(stat(`${path}-wal`), { code: 'ENOENT' });
});

test('of several processes the one that merges the log leaves none of it', async (t) => {
  const path = join(await temporaryDirectory(t), 'berth.db');
  const database = await openSqlite(path);
  const other = await openSqlite(path, { checkpoints: false });
  cleanUp(t, () => other.close());
  await makeRepository(other, a);
  await database.close();
  assert.equal((await stat(`${path}-wal`)).size, 0);
});

test('a database that takes no writes answers no ping, but one that wants none', async (t) => {
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
  ['gone with its folder', (path: string) => rename(dirname(path), `${dirname(path)}.old`)],
] as const) {
  test(`a database whose file was ${what} answers no ping, of whatever kind`, async (t) => {
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

test('a database that is closed is opened again with all that it held', async (t) => {
  const path = join(await temporaryDirectory(t), 'deep', 'berth.db');
  const first = await openSqlite(path);
  const id = await makeRepository(first, a);
  await first.close();
  const second = await openSqlite(path);
  cleanUp(t, () => second.close());
  assert.equal(await findRepository(second.read, a), id);
});
