import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { Client } from '../../test/support/inject.ts';
import { testRegistry } from '../../test/support/registry.ts';
import type { Database } from '../db/database.ts';
import { setProperty } from '../db/properties.ts';
import { openSqlite } from '../db/sqlite/sqlite.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { openFilesystemStore } from '../storage/filesystem.ts';

const paths = ['/healthz', '/readyz', '/metrics'];

/** A registry whose database and store have the failing operations of `broken`. */
async function registryWith(
  t: TestContext,
  broken: { database?: Partial<Database>; store?: Partial<BlobStore> },
) {
  return testRegistry(t, {}, async (data) => ({
    database: { ...(await openSqlite(join(data, 'berth.db'))), ...broken.database },
    store: { ...(await openFilesystemStore(data)), ...broken.store },
  }));
}

const failing = async (): Promise<never> => {
  throw new Error('EIO at /var/lib/secret');
};

test('health, readiness and metrics are on the registry’s own listener', async (t) => {
  const { app } = await testRegistry(t);
  const [health, ready, metrics] = await Promise.all(paths.map((url) => app.http.inject({ url })));
  assert.deepEqual([health?.statusCode, health?.json()], [200, { status: 'ok' }]);
  assert.deepEqual([ready?.statusCode, ready?.json()], [200, { status: 'ready' }]);
  assert.equal(metrics?.statusCode, 200);
  assert.match(String(metrics?.headers['content-type']), /^text\/plain; version=0\.0\.4/);
  assert.match(metrics?.body ?? '', /^berth_uploads_open 0$/m);
});

test('the metrics count served requests and open uploads', async (t) => {
  const { app } = await testRegistry(t);
  await app.http.inject({ url: '/v2/' });
  await app.http.inject({ method: 'POST', url: '/v2/a/blobs/uploads/' });
  const { body } = await app.http.inject({ url: '/metrics' });
  assert.match(body, /duration_seconds_count\{route="getBase",method="GET",status="200"\} 1/);
  assert.match(body, /duration_seconds_count\{route="startUpload",method="POST",status="202"\} 1/);
  assert.match(body, /^berth_uploads_open 1$/m);
  assert.match(body, /part="database",operation="transaction"/);
});

test('health, readiness and metrics with a listener of their own are 404 on the registry’s listener', async (t) => {
  const { app } = await testRegistry(t, { operations: { listen: '127.0.0.1:0' } });
  const { url, operationsUrl } = await app.listen();
  for (const path of paths) {
    assert.equal((await fetch(`${operationsUrl}${path}`)).status, 200);
    assert.equal((await fetch(`${url}${path}`)).status, 404);
  }
  assert.equal((await fetch(`${operationsUrl}/v2/`)).status, 404);
  assert.equal((await fetch(`${url}/v2/`)).status, 200);
});

for (const [part, broken] of [
  ['database', { database: { ping: failing } }],
  ['store', { store: { ping: failing } }],
] as const) {
  test(`a failing ${part}: healthy, not ready, and no internal details`, async (t) => {
    const { app } = await registryWith(t, broken);
    const ready = await app.http.inject({ url: '/readyz' });
    assert.deepEqual([ready.statusCode, ready.json()], [503, { status: 'not ready' }]);
    assert.equal(ready.headers['retry-after'], '5');
    assert.equal((await app.http.inject({ url: '/healthz' })).statusCode, 200);
  });
}

test('a registry that cannot write is not ready, unless it is read-only or the disk is full', async (t) => {
  const failure = { code: 'EROFS' };
  const { app, database } = await registryWith(t, {
    store: {
      async ping({ write = true } = {}) {
        if (write) throw Object.assign(new Error('a write failed'), failure);
      },
    },
  });
  let asked = 0;
  const readiness = async (): Promise<number> => {
    // Requests within a second share an answer.
    t.mock.method(performance, 'now', () => 10_000 * asked++);
    const { statusCode } = await app.http.inject({ url: '/readyz' });
    t.mock.restoreAll();
    return statusCode;
  };
  assert.equal(await readiness(), 503);
  failure.code = 'ENOSPC';
  assert.equal(await readiness(), 200);
  failure.code = 'EIO';
  await database.transaction((db) => setProperty(db, 'read-only', 'is moved'));
  assert.equal(await readiness(), 200);
  await database.transaction((db) => setProperty(db, 'read-only', undefined));
  assert.equal(await readiness(), 503);
});

test('parallel requests to /readyz share one check', async (t) => {
  let looks = 0;
  const { app } = await registryWith(t, { store: { ping: async () => void looks++ } });
  const answers = await Promise.all(Array.from({ length: 20 }, () => app.http.inject({ url: '/readyz' })));
  assert.deepEqual([answers.every(({ statusCode }) => statusCode === 200), looks], [true, 1]);
});

test('with a damaged database page, requests that need it fail, and the registry is not ready', async (t) => {
  const { app, data, database } = await testRegistry(t, { anonymous: 'push' }, async (data) => ({
    database: await openSqlite(join(data, 'berth.db')),
  }));
  const client = new Client(app.http);
  await client.pushImage('app', 'v1');
  const path = join(data, 'berth.db');
  // A write of another connection makes this one read the page again.
  const other = new DatabaseSync(path);
  const { rootpage } = other
    .prepare(
      `select rootpage from sqlite_schema where name = 'tags_key' or name like 'sqlite_autoindex_tags_1'`,
    )
    .get() as { rootpage: number };
  const { page_size: pageSize } = other.prepare('pragma page_size').get() as { page_size: number };
  other.exec('pragma wal_checkpoint(truncate)');
  const file = await open(path, 'r+');
  await file.write(Buffer.alloc(100, 0xff), 0, 100, (rootpage - 1) * pageSize);
  await file.close();
  other.exec(`update leases set held_until = held_until`);
  other.close();
  assert.equal(
    (await app.http.inject({ url: '/readyz' })).statusCode,
    200,
    'no request has read the damaged page yet',
  );
  assert.equal((await client.get('/v2/app/manifests/v1')).status, 500);
  await assert.rejects(database.ping(), /is damaged .*restore a backup/);
});

test('while Berth drains, the operations listener says healthy, and not ready at once', async (t) => {
  const { app } = await testRegistry(t, { operations: { listen: '127.0.0.1:0' } });
  const { url, operationsUrl } = await app.listen();
  const upload = await fetch(`${url}/v2/a/blobs/uploads/`, { method: 'POST' });
  const running = Promise.withResolvers<void>();
  // A body that does not end yet keeps the drain waiting.
  const body = new ReadableStream({
    async pull(controller) {
      controller.enqueue(Buffer.from('bytes'));
      await running.promise;
      controller.close();
    },
  });
  const init = { method: 'PATCH', body, duplex: 'half' } as RequestInit;
  const patch = fetch(new URL(upload.headers.get('location') as string, url), init);
  while (!(await metric(`${operationsUrl}/metrics`, 'startUpload'))) await new Promise(setImmediate);
  const closing = app.close();
  assert.equal((await fetch(`${operationsUrl}/readyz`)).status, 503);
  assert.equal((await fetch(`${operationsUrl}/healthz`)).status, 200);
  running.resolve();
  assert.equal((await patch).status, 202);
  await closing;
});

async function metric(url: string, text: string): Promise<boolean> {
  return (await (await fetch(url)).text()).includes(text);
}
