import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { testRegistry } from '../support/registry.ts';
import { digestOf, examine } from './consistency.ts';
import { RawConnection } from './raw-connection.ts';
import { RestartableRegistry } from './restartable.ts';
import { beginPull, largeBlob } from './stalled-pull.ts';
import { finish, pullBlob, pushBlob, received, startUpload } from './uploading.ts';

const bytes = randomBytes(largeBlob);
const digest = digestOf(bytes);

interface Transfers {
  readonly pull: RawConnection;
  readonly push: RawConnection;
}

/** Begins a pull, and a push of which half has arrived. */
async function beginTransfers(url: string, data: string, session: string): Promise<Transfers> {
  const push = await RawConnection.to(url);
  push.request('PATCH', session.slice(url.length), {
    'content-length': bytes.length,
    expect: '100-continue',
  });
  assert.equal((await push.response())?.status, 100);
  push.send(bytes.subarray(0, bytes.length / 2));
  return { push, pull: await beginPull(url, data, `/v2/a/blobs/${digest}`) };
}

test('a stop lets running transfers finish and accepts no new requests', async (t) => {
  const { app, data } = await testRegistry(t, { operations: { listen: '127.0.0.1:0' } });
  const { url, operationsUrl } = await app.listen();
  await pushBlob(url, 'a', bytes);
  const { pull, push } = await beginTransfers(url, data, await startUpload(url, 'a'));
  const idle = await RawConnection.to(url);
  const health = await RawConnection.to(operationsUrl as string);
  const ready = async (): Promise<number | undefined> => {
    health.request('GET', '/readyz');
    return (await health.response())?.status;
  };
  assert.equal(await ready(), 200);

  const stopped = app.close();
  assert.equal(await ready(), 503);
  await assert.rejects(RawConnection.to(url));
  await idle.closed;
  push.send(bytes.subarray(bytes.length / 2));
  assert.equal((await push.response())?.status, 202);
  pull.socket.resume();
  assert.ok((await pull.response())?.body.equals(bytes));
  await stopped;
  await assert.rejects(RawConnection.to(operationsUrl as string));
  assert.deepEqual(examine(data).problems, []);
});

test("a readiness check on the registry's own connection fails after a stop, or finds it closed", async (t) => {
  const { app, data } = await testRegistry(t);
  const { url } = await app.listen();
  await pushBlob(url, 'a', bytes);
  const { pull, push } = await beginTransfers(url, data, await startUpload(url, 'a'));
  const health = await RawConnection.to(url);
  const stopped = app.close();
  health.request('GET', '/readyz');
  const answer = await health.response();
  assert.ok(answer === undefined || answer.status === 503, String(answer?.status));
  for (const connection of [pull, push]) connection.destroy();
  await stopped;
});

test('after drainTimeout running transfers are cut, and sessions can continue after the next start', async (t) => {
  const registry = await RestartableRegistry.open(t, { shutdown: { drainTimeout: '300ms' } });
  await pushBlob(registry.url, 'a', bytes);
  const session = await startUpload(registry.url, 'a');
  const { pull, push } = await beginTransfers(registry.url, registry.data, session);
  const start = performance.now();
  await registry.restart();
  const duration = performance.now() - start;
  assert.ok(duration > 290 && duration < 5_000, `${duration} ms`);
  assert.equal((await push.response())?.status, undefined);
  pull.socket.resume();
  assert.equal((await pull.response())?.status, undefined);

  const resumed = registry.url + new URL(session).pathname;
  const have = (await received(resumed)) ?? 0;
  assert.ok(have > 0 && have <= bytes.length / 2, `${have} bytes were kept`);
  assert.equal((await finish(resumed, digest, bytes.subarray(have))).status, 201);
  await pullBlob(registry.url, 'a', digest);
  assert.deepEqual(examine(registry.data).problems, []);
});
