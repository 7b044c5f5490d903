import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { StatementSync } from 'node:sqlite';
import { describe, type TestContext, test } from 'node:test';
import { openFilesystemStore } from '../../src/storage/filesystem.ts';
import { Client, digestOf, imageOf, ociConfig } from '../support/inject.ts';
import { testRegistry } from '../support/registry.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { type Around, watchedFiles } from './watched.ts';

/** The events in order: `<step>` when a step begins, `<step>, done` when it ends. */
class Trace {
  readonly events: string[] = [];
  /** By name of a step, a function that it runs first, to wait or to fail. */
  readonly before = new Map<string, () => Promise<void>>();

  readonly around: Around = async (step, call) => {
    this.events.push(step);
    await this.before.get(step)?.();
    const result = await call();
    this.events.push(`${step}, done`);
    return result;
  };

  failOnce(step: string): void {
    this.before.set(step, async () => {
      this.before.clear();
      throw Object.assign(new Error('EIO: injected'), { code: 'EIO' });
    });
  }

  /** The events since the trace was last taken. */
  take(): string[] {
    return this.events.splice(0);
  }
}

/** A registry whose store, commits, syncs of the log and answers are traced. */
async function traced(t: TestContext): Promise<{ client: Client; trace: Trace; data: string }> {
  const trace = new Trace();
  const { all } = StatementSync.prototype;
  t.mock.method(
    StatementSync.prototype,
    'all',
    function (this: StatementSync, ...parameters: Parameters<typeof all>) {
      const rows = all.apply(this, parameters);
      if (this.sourceSQL === 'commit') trace.events.push('commit');
      return rows;
    },
  );
  const handle = await open('/dev/null');
  const fileHandle = Object.getPrototypeOf(handle) as typeof handle;
  await handle.close();
  const { datasync } = fileHandle;
  t.mock.method(fileHandle, 'datasync', function (this: typeof handle) {
    return trace.around('sync log', () => datasync.call(this));
  });
  const { writeHead } = ServerResponse.prototype;
  t.mock.method(
    ServerResponse.prototype,
    'writeHead',
    function (this: ServerResponse, ...parameters: Parameters<typeof writeHead>) {
      trace.events.push(`answer ${parameters[0]}`);
      return writeHead.apply(this, parameters);
    },
  );
  const { app, data } = await testRegistry(t, {}, async (data) => ({
    store: await openFilesystemStore(data, watchedFiles(data, trace.around)),
  }));
  trace.take();
  return { client: new Client(app.http), trace, data };
}

/** Asserts that `steps` are among `events`, each after the one before. */
function assertOrder(events: readonly string[], steps: readonly string[]): void {
  let from = 0;
  for (const step of steps) {
    const found = events.indexOf(step, from);
    assert.ok(
      found >= 0,
      `no "${step}" after "${events[from - 1] ?? 'the start'}" in:\n${events.join('\n')}`,
    );
    from = found + 1;
  }
}

const bytes = randomBytes(3 << 20);
const digest = digestOf(bytes);
const synced = ['sync algorithm folder', 'sync prefix folder', 'sync digest folder'];

describe('before a blob is acknowledged', () => {
  const pushes: Record<string, (client: Client) => Promise<unknown>> = {
    async 'POST and PUT'(client) {
      await client.pushBlob('app', bytes);
    },
    async 'one POST'(client) {
      await client.send('POST', `/v2/app/blobs/uploads/?digest=${digest}`, {}, bytes);
    },
    async 'POST, two PATCH and PUT'(client) {
      const location = await client.openUpload('app');
      await client.patch(location, bytes.subarray(0, 1 << 20));
      await client.patch(location, bytes.subarray(1 << 20));
      await client.finish(location, digest);
    },
  };
  for (const [name, push] of Object.entries(pushes)) {
    test(`${name}: bytes, file, folders, row and log are synced, in this order`, async (t) => {
      const { client, trace } = await traced(t);
      await push(client);
      const events = trace.take();
      for (const folder of synced) {
        assertOrder(events, [
          'write staged file, done',
          'sync staged file',
          'sync staged file, done',
          'rename',
          'rename, done',
          ...(folder === 'sync algorithm folder' ? [] : [folder, `${folder}, done`]),
          'commit',
          'sync log',
          'sync log, done',
          'answer 201',
        ]);
      }
      assertOrder(events, [
        'make prefix folder, done',
        'sync algorithm folder',
        'sync algorithm folder, done',
        'commit',
        'answer 201',
      ]);
      assertOrder(events, [
        'make digest folder, done',
        'sync prefix folder',
        'sync prefix folder, done',
        'commit',
      ]);
      assert.ok(events.lastIndexOf('write staged file, done') < events.indexOf('sync staged file'));
      assert.equal(events.filter((event) => event === 'answer 201').length, 1);
    });
  }

  test('a manifest, a mount and a delete: row and log are synced', async (t) => {
    const { client, trace } = await traced(t);
    const config = await client.pushContent('app', '{}', ociConfig);
    trace.take();
    const manifest = await client.pushManifest('app', imageOf(config, []), 'v1');
    assertOrder(trace.take(), ['commit', 'sync log', 'sync log, done', 'answer 201']);
    await client.send('POST', `/v2/other/blobs/uploads/?mount=${config.digest}&from=app`);
    assertOrder(trace.take(), ['commit', 'sync log', 'sync log, done', 'answer 201']);
    await client.delete('/v2/app/manifests/v1');
    assertOrder(trace.take(), ['commit', 'sync log', 'sync log, done', 'answer 202']);
    await client.delete(`/v2/app/manifests/${manifest.digest}`);
    assertOrder(trace.take(), ['commit', 'sync log', 'sync log, done', 'answer 202']);
    await client.delete(`/v2/app/blobs/${config.digest}`);
    assertOrder(trace.take(), ['commit', 'sync log', 'sync log, done', 'answer 202']);
  });

  test('two pushes that need the same new folder both wait for its sync', async (t) => {
    const { client, trace } = await traced(t);
    const [first, second] = twoWithOnePrefix();
    const [before, meanwhile] = twoWithOnePrefix();
    await client.pushBlob('app', before);
    trace.take();
    const held = Promise.withResolvers<void>();
    trace.before.set('sync algorithm folder', () => held.promise);
    let answers = 0;
    const pushes = [first, second].map(async (bytes) => {
      await client.pushBlob('app', bytes);
      answers += 1;
    });
    // This whole push into a synced folder takes longer than the rest of the two pushes would without waiting.
    await client.pushBlob('app', meanwhile);
    assert.equal(trace.events.filter((event) => event === 'sync staged file, done').length, 3);
    assert.equal(answers, 0);
    held.resolve();
    await Promise.all(pushes);
    assert.equal(answers, 2);
  });
});

test('syncs the data directory and all created parent folders before listening', async (t) => {
  const above = await temporaryDirectory(t);
  const data = join(above, 'new', 'data');
  const trace = new Trace();
  await openFilesystemStore(data, watchedFiles(data, trace.around));
  assertOrder(trace.take(), [
    'make data directory, done',
    'sync folder above',
    'sync folder above',
    'make uploads folder',
  ]);
});

describe('a failed sync', () => {
  test('of the file fails the upload, and only a new upload can store the blob', async (t) => {
    const { client, trace } = await traced(t);
    trace.failOnce('sync staged file');
    const location = await client.openUpload('app');
    await client.patch(location, bytes);
    assert.equal((await client.finish(location, digest)).status, 503);
    for (let i = 0; i < 2; i++) {
      const repeated = await client.finish(location, digest);
      assert.ok(repeated.status >= 400, `repeated without bytes: ${repeated.status}`);
    }
    assert.equal((await client.head(`/v2/app/blobs/${digest}`)).status, 404);
    await client.pushBlob('app', bytes);
    assert.deepEqual((await client.get(`/v2/app/blobs/${digest}`)).body, bytes);
  });

  test('of a folder fails the upload; the next push syncs it', async (t) => {
    for (const folder of synced) {
      const { client, trace } = await traced(t);
      trace.failOnce(folder);
      const answer = await client.send('POST', `/v2/app/blobs/uploads/?digest=${digest}`, {}, bytes);
      assert.equal(answer.status, 503, folder);
      assert.equal((await client.head(`/v2/app/blobs/${digest}`)).status, 404);
      trace.take();
      await client.pushBlob('app', bytes);
      assertOrder(trace.take(), [`${folder}, done`, 'commit', 'answer 201']);
      t.mock.restoreAll();
    }
  });

  test('of the log fails that write and all later ones', async (t) => {
    const { client, trace } = await traced(t);
    const config = await client.pushContent('app', '{}', ociConfig);
    trace.failOnce('sync log');
    const writes = [
      () => client.putManifest('app', 'v1', imageOf(config, [])),
      () => client.putManifest('app', 'v2', imageOf(config, [])),
      () => client.send('POST', `/v2/app/blobs/uploads/?digest=${digest}`, {}, bytes),
      () => client.send('POST', `/v2/other/blobs/uploads/?mount=${config.digest}&from=app`),
      () => client.delete('/v2/app/manifests/v1'),
    ];
    for (const write of writes) {
      const { status } = await write();
      assert.ok(status >= 500, `a write after a failed sync of the log was answered ${status}`);
    }
    assert.deepEqual((await client.get(`/v2/app/blobs/${config.digest}`)).body, Buffer.from('{}'));
  });
});

/** Two blobs whose files go into the same new folder. */
function twoWithOnePrefix(): [Buffer, Buffer] {
  const seen = new Map<string, Buffer>();
  for (;;) {
    const bytes = randomBytes(100);
    const prefix = digestOf(bytes).slice('sha256:'.length, 'sha256:'.length + 2);
    const other = seen.get(prefix);
    if (other) return [other, bytes];
    seen.set(prefix, bytes);
  }
}
