import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openSqlite } from '../../src/db/sqlite/sqlite.ts';
import { collectGarbage } from '../../src/jobs/collect-garbage.ts';
import { openFilesystemStore } from '../../src/storage/filesystem.ts';
import { cleanUp } from '../support/cleanup.ts';
import { run } from '../support/command.ts';
import { examine } from '../support/fsck.ts';
import { collectionParts } from '../support/garbage.ts';
import { assertError, type Client, digestOf, imageOf, ociConfig, ociLayer } from '../support/inject.ts';
import { startBerth } from '../support/process.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { AcknowledgedContent } from './acknowledged.ts';
import { clientOf } from './http-client.ts';

const skip = process.getuid?.() === 0 ? false : 'mounting a small disk needs root';
const mib = 1 << 20;

/** Mounts a tmpfs of `size` bytes. */
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

/** The free bytes once the audit log has written its events (half a second) and SQLite has emptied its log (two seconds). */
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

/** Pushes ever smaller blobs until the registry refuses even one byte. */
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

/** Deletes the bytes of blobs that no repository holds, at once instead of after a day. */
async function collectGarbageNow(data: string): Promise<void> {
  const store = await openFilesystemStore(data);
  const database = await openSqlite(join(data, 'berth.db'));
  try {
    const clock = () => Date.now() + 1000;
    await collectGarbage({ ...collectionParts(database, store), clock, expireAfter: 3_600_000, grace: 0 });
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
  const acknowledged = new AcknowledgedContent();
  const config = await client.pushContent('app', '{}', ociConfig);
  const image = await client.pushManifest('app', imageOf(config, []), 'v1');
  acknowledged.manifest('app', image, 'v1');
  acknowledged.blob('app', config.digest, Buffer.from('{}'));
  await client.putManifest('app', 'doomed', image.bytes);
  const session = await client.openUpload('app');
  assert.equal((await client.patch(session, Buffer.alloc(10 * mib))).status, 202);
  const pushed: string[] = [];
  let before: number;
  do {
    pushed.push(...(await fill(client)));
    // SQLite empties its log, which makes room for more.
    before = await freeAtRest(disk);
  } while ((await pushAtOnce(client, randomBytes(mib))).status === 201);
  assert.ok(pushed.length > 5);

  await t.test('a client that keeps retrying does not use up the space that deletes need', async () => {
    for (let i = 0; i < 100; i++) {
      assertError(await pushAtOnce(client, randomBytes(mib)), 507, 'STORAGE_FULL');
      assertError(await client.send('POST', '/v2/app/blobs/uploads/'), 507, 'STORAGE_FULL');
      assertError(await client.patch(session, randomBytes(1000)), 507, 'STORAGE_FULL');
    }
    // SQLite writes and empties its log meanwhile, hence the tolerance.
    assert.ok((await freeAtRest(disk)) > before - 2 * mib);
  });

  await t.test('images can be pulled, tags and manifests deleted', async () => {
    await acknowledged.assertAllThere(client);
    assert.equal((await client.delete('/v2/app/manifests/doomed')).status, 202);
    assert.equal((await client.get('/v2/app/manifests/doomed')).status, 404);
    // Ready, because an orchestrator must not take a registry that serves pulls out of service.
    assert.equal((await fetch(`${berth.url}/readyz`)).status, 200);
  });

  await t.test('a cancelled upload frees its space at once, and a push succeeds', async () => {
    const before = await free(disk);
    assert.equal((await client.delete(session)).status, 204);
    assert.ok((await free(disk)) > before + 9 * mib);
    const bytes = randomBytes(mib);
    assert.equal((await pushAtOnce(client, bytes)).status, 201);
    acknowledged.blob('app', digestOf(bytes), bytes);
    // Otherwise the garbage collection below would remove it.
    const layer = { mediaType: ociLayer, digest: digestOf(bytes), size: bytes.length };
    acknowledged.manifest('app', await client.pushManifest('app', imageOf(config, [layer]), 'kept'), 'kept');
  });

  await t.test(
    'deleted blobs free their space with the next garbage collection, and a push succeeds',
    async () => {
      await fill(client);
      for (const digest of pushed) assert.equal((await client.delete(`/v2/app/blobs/${digest}`)).status, 202);
      await collectGarbageNow(data);
      assert.ok((await free(disk)) > 30 * mib, `${await free(disk)} bytes are free`);
      const bytes = randomBytes(20 * mib);
      assert.equal((await pushAtOnce(client, bytes)).status, 201);
      acknowledged.blob('app', digestOf(bytes), bytes);
    },
  );

  await acknowledged.assertAllThere(client);
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
  assert.ok((await free(disk)) > before - mib, `${before - (await free(disk))} bytes were not freed`);
  // The session is unchanged and can continue.
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
  const acknowledged = new AcknowledgedContent();
  acknowledged.manifest('app', image, 'v1');
  // A file of another program: Berth itself always leaves some space free.
  await run('sh', ['-c', `cat /dev/zero > ${join(disk, 'other')} 2>/dev/null || true`]);
  assert.equal(await free(disk), 0);
  let refused = 0;
  for (let i = 0; i < 100; i++) {
    const { status } = await client.putManifest('app', `tag-${i}`, image.bytes);
    assert.match(String(status), /^(201|507)$/);
    if (status === 201) acknowledged.manifest('app', image, `tag-${i}`);
    else refused += 1;
  }
  assert.ok(refused > 0, 'no push was refused: the disk was not full');
  await acknowledged.assertAllThere(client);
  assert.deepEqual((await examine(data)).findings, []);
  await run('rm', [join(disk, 'other')]);
  assert.equal((await client.putManifest('app', 'after', image.bytes)).status, 201);
  await acknowledged.assertAllThere(client);
  assert.deepEqual((await examine(data)).findings, []);
});
