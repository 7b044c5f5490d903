import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { berth } from '../../test/support/berth.ts';
import { cleanUp } from '../../test/support/cleanup.ts';
import { Client, digestOf, imageOf, ociConfig } from '../../test/support/inject.ts';
import { testRegistry } from '../../test/support/registry.ts';
import { openSqlite } from '../db/sqlite/sqlite.ts';
import { holdJob } from '../jobs/hold-job.ts';

/** A registry with an image, a blob that no manifest needs, and commands beside it. */
async function registry(t: TestContext) {
  const { app, data } = await testRegistry(t);
  const client = new Client(app.http);
  const config = await client.pushContent('app', '{}', ociConfig);
  await client.pushManifest('app', imageOf(config, []), 'v1');
  const unneeded = await client.pushBlob('app', 'unneeded');
  const gc = async (...args: string[]) => {
    const { exitCode, out, err } = await berth('gc', ...args, '--data', data);
    assert.equal(exitCode, 0, err);
    return out;
  };
  return { data, client, unneeded, gc, config };
}

test('plans what a run then removes, and nothing after that', async (t) => {
  const { client, unneeded, gc, config } = await registry(t);
  const plan = async () => JSON.parse(await gc('plan', '--grace', '0s', '--json'));
  assert.deepEqual(await plan(), {
    blobs: [{ digest: unneeded, size: 8, repositories: ['app'], freesBytes: true }],
    deleted: 1,
    bytes: 8,
  });
  assert.match(await gc('plan'), /0 of 0 blobs would be deleted/, 'within gc.grace');
  const run = JSON.parse(await gc('run', '--grace', '0s', '--json'));
  assert.deepEqual([run.links, run.blobs, run.bytes], [1, 1, 8]);
  assert.deepEqual(await plan(), { blobs: [], deleted: 0, bytes: 0 });
  assert.equal((await client.head(`/v2/app/blobs/${unneeded}`)).status, 404);
  assert.equal((await client.head(`/v2/app/blobs/${config.digest}`)).status, 200);
});

test('plans no deletion of bytes that another repository holds', async (t) => {
  const { client, gc } = await registry(t);
  await client.send('POST', `/v2/other/blobs/uploads/?mount=${digestOf('unneeded')}&from=app`);
  const layer = { mediaType: 'a/b', digest: digestOf('unneeded'), size: 8 };
  const config = await client.pushContent('other', '{}', ociConfig);
  await client.pushManifest('other', imageOf(config, [layer]), 'v1');
  const { blobs } = JSON.parse(await gc('plan', '--grace', '0s', '--json'));
  assert.deepEqual(blobs, [
    { digest: digestOf('unneeded'), size: 8, repositories: ['app'], freesBytes: false },
  ]);
});

test('shows the queues and the pause, during which a run is refused', async (t) => {
  const { data, gc } = await registry(t);
  await gc('pause', '--reason', 'looking for an image');
  const { paused, reviews, unheld, parked } = JSON.parse(await gc('status', '--json'));
  assert.deepEqual([paused, reviews.length, unheld.length, parked], ['looking for an image', 2, 0, 0]);
  const refused = await berth('gc', 'run', '--data', data);
  assert.equal(refused.exitCode, 1);
  assert.match(refused.err, /paused: looking for an image; end the pause with `berth gc resume`/);
  await gc('resume');
  assert.match(await gc('status'), /paused +no\n/);
});

test('refuses a run while another process collects garbage, and shows when a run ended', async (t) => {
  const { data, gc } = await registry(t);
  const database = await openSqlite(join(data, 'berth.db'));
  cleanUp(t, () => database.close());
  const held = await holdJob(database, 'gc', 0);
  assert.ok(held);
  assert.equal(await holdJob(database, 'gc', 0), undefined);
  const refused = await berth('gc', 'run', '--data', data);
  assert.deepEqual([refused.exitCode, /another process collects garbage/.test(refused.err)], [1, true]);
  await held[Symbol.asyncDispose]();
  const before = Date.now();
  await gc('run');
  assert.ok(JSON.parse(await gc('status', '--json')).lastRun >= before);
});
