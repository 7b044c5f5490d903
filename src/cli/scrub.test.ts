import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { berth } from '../../test/support/berth.ts';
import { cleanUp } from '../../test/support/cleanup.ts';
import { Client, imageOf, ociConfig } from '../../test/support/inject.ts';
import { testRegistry } from '../../test/support/registry.ts';
import { openSqlite } from '../db/sqlite/sqlite.ts';
import { holdJob } from '../jobs/hold-job.ts';
import { asDigest } from '../oci/digest.ts';
import { blobKey } from '../storage/blob-store.ts';

/** A registry on files with an image, whose layer can be damaged. */
async function registry(t: TestContext) {
  const { app, data } = await testRegistry(t, {}, async () => ({}));
  const client = new Client(app.http);
  const layer = await client.pushContent('app', 'a layer');
  const config = await client.pushContent('app', '{}', ociConfig);
  const { digest } = await client.pushManifest('app', imageOf(config, [layer]), 'v1');
  const file = join(data, blobKey(asDigest(layer.digest)!, 0));
  return {
    ...{ data, client, file, layer: layer.digest, manifest: digest },
    damage: () => writeFile(file, 'a lager'),
    run: (...args: string[]) => berth(...args, '--data', data),
  };
}

test('a run lists the damaged blobs with their images and fails, until the image is pushed again', async (t) => {
  const { client, layer, damage, run } = await registry(t);
  assert.match((await run('scrub', 'status')).out, /last pass +never\n(.|\n)*damaged blobs +0\n/);
  await damage();
  const found = await run('scrub', 'run');
  assert.equal(found.exitCode, 1);
  assert.match(found.err, /damaged blobs: 1, damaged manifests: 0, unreadable blobs: 0/);
  assert.match(found.out, /last pass +2 blobs and 1 manifests/);
  assert.match(found.out, new RegExp(`${layer} +7 bytes +\\S+ +app:v1\n`));
  const status = JSON.parse((await run('scrub', 'status', '--json')).out);
  assert.deepEqual(
    [status.every, status.pass, status.last.blobs, status.damaged, status.blobs[0].affects],
    [30 * 86_400_000, null, 2, 1, ['app:v1']],
  );
  await client.pushBlob('app', 'a layer');
  assert.equal((await run('scrub', 'run', '--rate', '1GiB')).exitCode, 0);
});

test('a run takes over the pass of a server', async (t) => {
  const { data, run } = await registry(t);
  const database = await openSqlite(join(data, 'berth.db'));
  cleanUp(t, () => database.close());
  await using held = await holdJob(database, 'scrub', 0);
  assert.ok(held);
  const { exitCode, err } = await run('scrub', 'run');
  assert.equal(exitCode, 0, err);
});

test('copies and exports of a damaged image are refused', async (t) => {
  const { data, layer, damage, run } = await registry(t);
  await damage();
  await run('scrub', 'run');
  for (const args of [
    ['tag', 'copy', 'app:v1', 'b:v1'],
    ['export', 'app:v1', join(data, 'image.tar')],
  ]) {
    const { exitCode, err } = await run(...args);
    assert.equal(exitCode, 1);
    assert.match(err, new RegExp(`copy of blob ${layer} is damaged; push the image again`));
  }
});

test('fsck --read-data --repair marks damaged blobs only with --yes, and fsck reports the mark', async (t) => {
  const { client, layer, damage, run } = await registry(t);
  const blob = `/v2/app/blobs/${layer}`;
  await damage();
  const planned = await run('fsck', '--read-data', '--repair');
  assert.deepEqual([planned.exitCode, (await client.head(blob)).status], [1, 200]);
  assert.match(planned.out, /1 blob with missing or wrong bytes, to mark as damaged/);
  assert.match((await run('fsck', '--read-data', '--repair', '--yes')).out, /1 blob .*, marked as damaged/);
  assert.equal((await client.head(blob)).status, 404);
  const findings = (await run('fsck', '--json')).out.split('\n').slice(0, -2);
  assert.deepEqual(
    findings.map((line) => JSON.parse(line)).map(({ kind, subject, affects }) => [kind, subject, affects]),
    [['blob-damaged', `blob ${layer}`, ['app:v1']]],
  );
});

test('nothing is marked while the blob store is an empty one', async (t) => {
  const { data, client, layer, run } = await registry(t);
  await run('scrub', 'run');
  await rm(join(data, 'docker'), { recursive: true });
  await rm(join(data, 'berth-store.json'));
  const { exitCode, err } = await run('scrub', 'run');
  assert.equal(exitCode, 1);
  assert.match(err, /does not have: configure the store of this database/);
  assert.equal((await client.head(`/v2/app/blobs/${layer}`)).status, 200);
});
