import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openSqlite } from '../../src/db/sqlite/sqlite.ts';
import { sweep } from '../../src/jobs/sweep.ts';
import { openFilesystemStore } from '../../src/storage/filesystem.ts';
import { cleanUp } from '../support/cleanup.ts';
import { run } from '../support/command.ts';
import { examine } from '../support/fsck.ts';
import { assertError, type Client, digestOf, imageOf, ociConfig } from '../support/inject.ts';
import { startBerth } from '../support/process.ts';
import { sweepable } from '../support/sweep.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { clientOf } from './http-client.ts';
import { Kept } from './kept.ts';

const skip = process.getuid?.() === 0 ? false : 'mounting a small disk needs root';
const mib = 1 << 20;

/** A disk of its own, of a few MiB. */
async function smallDisk(t: TestContext, size: number): Promise<string> {
  const disk = await temporaryDirectory(t, 'berth-small-disk');
  await run('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', disk]);
  cleanUp(t, () => run('umount', ['--lazy', disk]));
  return disk;
}

async function free(disk: string): Promise<number> {
  const { bavail, bsize } = await statfs(disk);
  return bavail * bsize;
}

/** When the audit log has written what it has heard of so far, within half a second, and the log of SQLite was emptied, within two. */
async function freeAtRest(disk: string): Promise<number> {
  let [before, now] = [Number.NaN, await free(disk)];
  while (now !== before) {
    await sleep(2_500);
    [before, now] = [now, await free(disk)];
  }
  return now;
}

function pushAtOnce(client: Client, bytes: Buffer) {
  return client.send('POST', `/v2/app/blobs/uploads/?digest=${digestOf(bytes)}`, {}, bytes);
}

/** Pushes ever smaller blobs until not even one of a byte is taken. */
async function fill(client: Client): Promise<string[]> {
  const pushed: string[] = [];
  for (let size = 4 * mib; size >= 1; size >>= 2) {
    for (;;) {
      const bytes = randomBytes(size);
      const answer = await pushAtOnce(client, bytes);
      if (answer.status !== 201) {
        assertError(answer, 507, 'STORAGE_FULL');
        break;
      }
      pushed.push(digestOf(bytes));
    }
  }
  return pushed;
}

/** What takes the bytes of blobs that nobody holds, at once instead of after a day. */
async function sweepNow(data: string): Promise<void> {
  const store = await openFilesystemStore(data);
  const database = await openSqlite(join(data, 'berth.db'));
  try {
    const clock = () => Date.now() + 1000;
    await sweep({ ...sweepable(database, store), clock, expireAfter: 3_600_000, grace: 0 });
  } finally {
    await database.close();
  }
}

test('a full disk rejects pushes and serves pulls and deletes, until space is freed', {
  skip,
}, async (t) => {
  const disk = await smallDisk(t, 64 * mib);
  const data = join(disk, 'data');
  const berth = await startBerth(t, { data });
  const client = clientOf(berth.url);
  const kept = new Kept();
  const config = await client.pushContent('app', '{}', ociConfig);
  const image = await client.pushManifest('app', imageOf(config, []), 'v1');
  kept.manifest('app', image, 'v1');
  kept.blob('app', config.digest, Buffer.from('{}'));
  await client.putManifest('app', 'doomed', image.bytes);
  const session = await client.openUpload('app');
  assert.equal((await client.patch(session, Buffer.alloc(10 * mib))).status, 202);
  const pushed = await fill(client);
  assert.ok(pushed.length > 5);

  await t.test('a client that keeps retrying does not use up the space that deletes need', async () => {
    const before = await freeAtRest(disk);
    for (let i = 0; i < 100; i++) {
      assertError(await pushAtOnce(client, randomBytes(mib)), 507, 'STORAGE_FULL');
      assertError(await client.send('POST', '/v2/app/blobs/uploads/'), 507, 'STORAGE_FULL');
      assertError(await client.patch(session, randomBytes(1000)), 507, 'STORAGE_FULL');
    }
    // The log of SQLite is written and emptied meanwhile.
    assert.ok((await freeAtRest(disk)) > before - 2 * mib);
  });

  await t.test('images can be pulled, tags and manifests deleted', async () => {
    await kept.assertAllThere(client);
    assert.equal((await client.delete('/v2/app/manifests/doomed')).status, 202);
    assert.equal((await client.get('/v2/app/manifests/doomed')).status, 404);
    // It serves: nobody should take it out of service for a full disk.
    assert.equal((await fetch(`${berth.url}/readyz`)).status, 200);
  });

  await t.test('a cancelled upload frees its space at once, and a push succeeds', async () => {
    const before = await free(disk);
    assert.equal((await client.delete(session)).status, 204);
    assert.ok((await free(disk)) > before + 9 * mib);
    const bytes = randomBytes(mib);
    assert.equal((await pushAtOnce(client, bytes)).status, 201);
    kept.blob('app', digestOf(bytes), bytes);
  });

  await t.test('deleted blobs free their space with the next sweep, and a push succeeds', async () => {
    await fill(client);
    for (const digest of pushed) assert.equal((await client.delete(`/v2/app/blobs/${digest}`)).status, 202);
    await sweepNow(data);
    assert.ok((await free(disk)) > 30 * mib, `${await free(disk)} bytes are free`);
    const bytes = randomBytes(20 * mib);
    assert.equal((await pushAtOnce(client, bytes)).status, 201);
    kept.blob('app', digestOf(bytes), bytes);
  });

  await kept.assertAllThere(client);
  const { exitCode, findings } = await examine(data);
  assert.deepEqual([exitCode, findings.filter(({ severity }) => severity === 'error')], [0, []]);
  assert.deepEqual(await berth.stop(), { code: 0, signal: null });
});

test('an upload that fills the disk frees what it wrote', { skip }, async (t) => {
  const disk = await smallDisk(t, 32 * mib);
  const berth = await startBerth(t, { data: join(disk, 'data') });
  const client = clientOf(berth.url);
  const location = await client.openUpload('app');
  assert.equal((await client.patch(location, Buffer.alloc(mib))).status, 202);
  const before = await free(disk);
  assertError(await client.patch(location, Buffer.alloc(40 * mib)), 507, 'STORAGE_FULL');
  assert.ok((await free(disk)) > before - mib, `${before - (await free(disk))} bytes were not given back`);
  // The session is where it was, and goes on.
  assert.equal((await client.get(location)).headers.range, `0-${mib - 1}`);
  assert.equal((await client.patch(location, Buffer.alloc(mib))).status, 202);
  const whole = digestOf(Buffer.alloc(2 * mib));
  assert.equal((await client.finish(location, whole)).status, 201);
});

test('a disk full to the last byte does not affect reads or damage the database', { skip }, async (t) => {
  const disk = await smallDisk(t, 16 * mib);
  const data = join(disk, 'data');
  const berth = await startBerth(t, { data });
  const client = clientOf(berth.url);
  const image = await client.pushImage('app', 'v1');
  const kept = new Kept();
  kept.manifest('app', image, 'v1');
  // Somebody else's file: of what Berth writes itself, it keeps some room free.
  await run('sh', ['-c', `cat /dev/zero > ${join(disk, 'other')} 2>/dev/null || true`]);
  assert.equal(await free(disk), 0);
  let refused = 0;
  for (let i = 0; i < 100; i++) {
    const { status } = await client.putManifest('app', `tag-${i}`, image.bytes);
    assert.match(String(status), /^(201|507)$/);
    if (status === 201) kept.manifest('app', image, `tag-${i}`);
    else refused += 1;
  }
  assert.ok(refused > 0, 'nothing was refused: the disk was not full');
  await kept.assertAllThere(client);
  assert.deepEqual((await examine(data)).findings, []);
  await run('rm', [join(disk, 'other')]);
  assert.equal((await client.putManifest('app', 'after', image.bytes)).status, 201);
  await kept.assertAllThere(client);
  assert.deepEqual((await examine(data)).findings, []);
});
