import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, type TestContext, test } from 'node:test';
import { CreateMultipartUploadCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { sql } from 'kysely';
import { cleanUp } from '../../test/support/cleanup.ts';
import { examine } from '../../test/support/fsck.ts';
import { collectionParts } from '../../test/support/garbage.ts';
import { Client, digestOf, imageOf, ociConfig, type Pushed } from '../../test/support/inject.ts';
import { testRegistry } from '../../test/support/registry.ts';
import { s3Settings } from '../../test/support/s3.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { StoreDisagrees } from '../core/store-mismatch.ts';
import { unheldQueue } from '../db/blob-deletions.ts';
import { linkBlob } from '../db/blob-links.ts';
import { reviewQueue } from '../db/blob-reviews.ts';
import { recordStored } from '../db/blobs.ts';
import type { Database } from '../db/database.ts';
import { countParked } from '../db/parked-blobs.ts';
import { findProperty, setProperty } from '../db/properties.ts';
import { findOrCreateRepository } from '../db/repositories.ts';
import { openSqlite } from '../db/sqlite/sqlite.ts';
import { leaseUpload } from '../db/uploads.ts';
import { asDigest } from '../oci/digest.ts';
import { parseName } from '../oci/name.ts';
import { type BlobStore, blobKey } from '../storage/blob-store.ts';
import { openFilesystemStore } from '../storage/filesystem.ts';
import { S3Bucket } from '../storage/s3/bucket.ts';
import { openS3Store } from '../storage/s3/s3.ts';
import { type Collected, collectGarbage, type GarbageCollectionParts } from './collect-garbage.ts';
import { findUnknownBlobs } from './find-unknown-blobs.ts';
import { measure } from './measure.ts';

const minute = 60_000;
const expireAfter = 60 * minute;
const grace = 30 * minute;
const keepUnknown = 10 * 60 * minute;

/** A registry, its parts, and a clock that the test can advance. */
interface Fixture {
  readonly data: string;
  readonly client: Client;
  readonly database: Database;
  readonly store: BlobStore;
  /** Moves the clock of registry and garbage collection ahead of the machine's, in milliseconds. */
  advance(milliseconds: number): void;
  /** Searches the store for unknown blobs, and collects garbage. */
  collect(changed?: Partial<GarbageCollectionParts>): Promise<typeof nothing>;
}

async function registry(
  t: TestContext,
  wrapStore: (store: BlobStore) => BlobStore = (store) => store,
): Promise<Fixture> {
  let ahead = 0;
  const clock = () => Date.now() + ahead;
  let database!: Database;
  let store!: BlobStore;
  const { app, data } = await testRegistry(t, { trash: { keepFor: '0ms' } }, async (data) => {
    store = await openFilesystemStore(data);
    database = await openSqlite(join(data, 'berth.db'));
    return { clock, database, store: wrapStore(store) };
  });
  return {
    data,
    client: new Client(app.http),
    database,
    store,
    advance(milliseconds) {
      ahead += milliseconds;
    },
    async collect(changed) {
      const parts = {
        ...collectionParts(database, store, keepUnknown),
        clock,
        expireAfter,
        grace,
        ...changed,
      };
      const { report: _report, ...search } = parts;
      const found = await findUnknownBlobs(search);
      const { bytes: _, kept: _kept, ...collected } = await collectGarbage(parts);
      return { ...collected, parked: found.parked, orphans: collected.orphans + found.orphans };
    },
  };
}

/** Every staged and committed file, relative to the data directory. */
async function filesOf(data: string): Promise<string[]> {
  const entries = await Promise.all(
    ['uploads', 'docker'].map((folder) =>
      readdir(join(data, folder), { recursive: true, withFileTypes: true }),
    ),
  );
  return entries
    .flat()
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(data.length + 1))
    .sort();
}

function fileOf(digest: string, generation = 0): string {
  return blobKey(asDigest(digest)!, generation);
}

/** Creates a file as a crash may leave it, `age` milliseconds old. */
async function leave(data: string, path: string, age: number): Promise<void> {
  await mkdir(dirname(join(data, path)), { recursive: true });
  await writeFile(join(data, path), 'left behind');
  const then = new Date(Date.now() - age);
  await utimes(join(data, path), then, then);
}

/** Pushes an image with these layers, and its blobs if the repository does not hold them. */
async function pushImageOf(client: Client, name: string, ...layers: string[]): Promise<Pushed> {
  const config = await client.pushContent(name, randomBytes(40), ociConfig);
  return client.pushManifest(
    name,
    imageOf(config, await Promise.all(layers.map((layer) => client.pushContent(name, layer)))),
    'latest',
  );
}

/** Checks that fsck finds nothing but parked blobs. */
async function assertClean(data: string): Promise<void> {
  const { findings } = await examine(data);
  assert.deepEqual(
    findings.filter(({ kind }) => kind !== 'blob-parked'),
    [],
  );
}

const nothing = { uploads: 0, orphans: 0, parked: 0, links: 0, blobs: 0, commits: 0 };

describe('an upload session', () => {
  test('is deleted with its bytes after expireAfter without a request', async (t) => {
    const { client, data, advance, collect } = await registry(t);
    const abandoned = await client.openUpload('app');
    await client.patch(abandoned, 'bytes');
    advance(expireAfter - minute);
    const active = await client.openUpload('app');
    await client.patch(active, 'more bytes');
    assert.deepEqual(await collect(), nothing);
    advance(2 * minute);
    assert.deepEqual(await collect(), { ...nothing, uploads: 1 });
    assert.equal((await client.get(abandoned)).status, 404);
    assert.equal((await client.finish(active, digestOf('more bytes'))).status, 201);
    assert.deepEqual(await filesOf(data), [fileOf(digestOf('more bytes'))]);
  });

  test('is kept while chunks arrive in time, however old it is', async (t) => {
    const { client, advance, collect } = await registry(t);
    const location = await client.openUpload('app');
    for (let i = 0; i < 3; i++) {
      advance(expireAfter - minute);
      await client.patch(location, 'x');
      assert.deepEqual(await collect(), nothing);
    }
    assert.equal((await client.finish(location, digestOf('xxx'))).status, 201);
  });

  test('is kept while a request writes to it', async (t) => {
    const { client, advance, collect } = await registry(t);
    const location = await client.openUpload('app');
    const body = new PassThrough();
    const patch = client.patch(location, body);
    body.write('by');
    await claimed(client, location);
    // The writer's lease is longer than this expireAfter.
    advance(2_000);
    assert.deepEqual(await collect({ expireAfter: 1_000 }), nothing);
    body.end('tes');
    assert.equal((await patch).status, 202);
    assert.equal((await client.finish(location, digestOf('bytes'))).status, 201);
  });

  test('is kept when its client continues between listing and decision', async (t) => {
    const { client, database, advance, collect } = await registry(t);
    const location = await client.openUpload('app');
    await client.patch(location, 'by');
    advance(expireAfter + minute);
    let cameBack = false;
    const transaction: Database['transaction'] = async (work, options) => {
      if (!cameBack) {
        cameBack = true;
        assert.equal((await client.patch(location, 'tes')).status, 202);
      }
      return database.transaction(work, options);
    };
    assert.deepEqual(await collect({ database: { ...database, transaction } }), nothing);
    assert.ok(cameBack);
    assert.equal((await client.finish(location, digestOf('bytes'))).status, 201);
  });

  test('leaves no file or row, for a thousand abandoned uploads', async (t) => {
    const { client, data, advance, collect } = await registry(t);
    await client.pushImage('app', 'v1');
    const before = await filesOf(data);
    for (let i = 0; i < 1000; i++) {
      const location = await client.openUpload('app');
      if (i % 2 === 0) await client.patch(location, 'a chunk');
      else await client.breakOff('PATCH', location, { 'content-length': '100' }, 'a part of a chunk');
    }
    advance(expireAfter + minute);
    assert.deepEqual(await collect(), { ...nothing, uploads: 1000 });
    assert.deepEqual(await filesOf(data), before);
    assert.deepEqual(openFilesBelow(data), []);
    const { walked } = await examine(data);
    assert.equal(walked.uploads, 0);
  });
});

/** Staged and committed files that this process has open. */
function openFilesBelow(data: string): string[] {
  const open = readdirSync('/proc/self/fd').map((fd) => {
    // The descriptor of this listing is closed by now.
    const link = join('/proc/self/fd', fd);
    return existsSync(link) ? readlinkSync(link) : '';
  });
  return open.filter(
    (path) => path.startsWith(join(data, 'uploads')) || path.startsWith(join(data, 'docker')),
  );
}

/** Resolves when another request has the session's lease: a second writer is then refused with 416. */
async function claimed(client: Client, location: string): Promise<void> {
  while ((await client.patch(location, '')).status !== 416);
}

describe('a file without a row', () => {
  test('is deleted once it is older than the grace period, if it belongs to an upload', async (t) => {
    const { client, data, collect } = await registry(t);
    const { digest } = await client.pushImage('app', 'v1');
    const kept = await filesOf(data);
    await leave(data, 'uploads/old', grace + minute);
    await leave(data, 'uploads/young', grace - minute);
    assert.deepEqual(await collect(), { ...nothing, orphans: 1 });
    assert.deepEqual(await filesOf(data), [...kept, 'uploads/young'].sort());
    assert.equal((await client.get(`/v2/app/manifests/${digest}`)).status, 200);
    assert.deepEqual(await collect(), nothing);
  });

  test('is kept for keepUnknown after it was found, if it is a blob', async (t) => {
    const { data, database, advance, collect } = await registry(t);
    const files = [fileOf(digestOf('old')), fileOf(digestOf('old too'), 3)].sort();
    for (const path of files) await leave(data, path, grace + minute);
    await leave(data, fileOf(digestOf('young')), grace - minute);
    assert.deepEqual(await collect(), { ...nothing, parked: 2 });
    assert.equal(await countParked(database.read), 2);
    assert.deepEqual(await collect(), nothing);
    advance(keepUnknown - minute);
    assert.deepEqual(
      await collect(),
      { ...nothing, parked: 1 },
      'the newer file has reached the grace period',
    );
    advance(2 * minute);
    assert.deepEqual(await collect(), { ...nothing, blobs: 2 });
    assert.deepEqual(await filesOf(data), [fileOf(digestOf('young'))]);
  });

  test('is in no repository while it is parked, and is replaced by a push of its digest', async (t) => {
    const { client, data, database, advance, collect } = await registry(t);
    const digest = digestOf('left behind');
    await leave(data, fileOf(digest), grace + minute);
    assert.deepEqual(await collect(), { ...nothing, parked: 1 });
    assert.equal((await client.head(`/v2/app/blobs/${digest}`)).status, 404);
    const mount = await client.send('POST', `/v2/app/blobs/uploads/?mount=${digest}`);
    assert.equal(mount.status, 202);
    await pushImageOf(client, 'app', 'left behind');
    assert.equal(await countParked(database.read), 0);
    advance(2 * keepUnknown);
    await collect();
    assert.equal((await client.get(`/v2/app/blobs/${digest}`)).body.toString(), 'left behind');
    await assertClean(data);
  });

  test('is deleted when it is an old generation whose deletion a crash prevented', async (t) => {
    const { client, data, database, collect } = await registry(t);
    const digest = await client.pushBlob('app', 'bytes');
    await database.transaction((db) => db.updateTable('blobs').set({ generation: 1 }).execute());
    await leave(data, fileOf(digest), grace + minute);
    await writeFile(join(data, fileOf(digest, 1)), 'bytes');
    assert.deepEqual(await collect(), { ...nothing, orphans: 1 });
    assert.deepEqual(await filesOf(data), [fileOf(digest, 1)]);
    assert.equal((await client.get(`/v2/app/blobs/${digest}`)).body.toString(), 'bytes');
  });

  test('is parked when the push of a previously deleted blob was interrupted', async (t) => {
    const { client, data, advance, collect } = await registry(t);
    const digest = await client.pushBlob('app', 'bytes');
    await client.delete(`/v2/app/blobs/${digest}`);
    advance(grace + minute);
    assert.equal((await collect()).blobs, 1);
    await leave(data, fileOf(digest, 1), grace + minute);
    assert.deepEqual(await collect(), { ...nothing, parked: 1 });
    assert.deepEqual(await filesOf(data), [fileOf(digest, 1)]);
    await client.pushBlob('app', 'bytes');
    assert.deepEqual(await filesOf(data), [fileOf(digest, 1)]);
    await assertClean(data);
  });
});

describe('an interrupted commit', () => {
  test('is deleted from the bucket after the grace period', async (t) => {
    const settings = await s3Settings(t);
    if (settings === undefined) return;
    const [store, bucket] = [await openS3Store(settings), new S3Bucket(settings)];
    cleanUp(t, () => Promise.all([store.close(), bucket.close()]));
    const database = await openSqlite(join(await temporaryDirectory(t), 'berth.db'));
    cleanUp(t, () => database.close());
    const Bucket = settings.bucket;
    await bucket.send(new CreateMultipartUploadCommand({ Bucket, Key: fileOf(digestOf('died')) }));
    const left = async () =>
      ((await bucket.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads ?? []).length;
    let now = Date.now();
    const run = async (changed?: Partial<GarbageCollectionParts>) =>
      (
        await collectGarbage({
          ...collectionParts(database, store),
          clock: () => now,
          expireAfter,
          grace,
          ...changed,
        })
      ).commits;
    assert.deepEqual([await run(), await left()], [0, 1]);
    now += grace + minute;
    assert.deepEqual([await run(), await left()], [1, 0]);
    const failing = {
      ...store,
      deleteInterruptedCommits: () => Promise.reject(new Error('the service lists no multipart uploads')),
    };
    await assert.rejects(run({ store: failing }), /first error: the service lists no multipart uploads/);
  });
});

describe('a database that does not belong to the store', () => {
  test('prevents deletions and parking', async (t) => {
    const { client, data, database, advance, collect } = await registry(t);
    const letGo = await client.pushBlob('app', 'let go');
    await client.delete(`/v2/app/blobs/${letGo}`);
    await client.patch(await client.openUpload('app'), 'abandoned');
    await leave(data, fileOf(digestOf('unknown')), grace + minute);
    await leave(data, 'uploads/old', grace + minute);
    advance(2 * expireAfter);
    const before = await filesOf(data);
    const epoch = await findProperty(database.read, 'epoch');
    await database.transaction((db) => setProperty(db, 'epoch', undefined));
    await assert.rejects(collect(), StoreDisagrees);
    // Garbage collection has begun with the right epoch, and then an older copy replaced the database.
    await assert.rejects(collect({ advanceEpoch: async () => Number(epoch) }), StoreDisagrees);
    assert.deepEqual(await filesOf(data), before);
    assert.equal(await countParked(database.read), 0);
    await database.transaction((db) => setProperty(db, 'epoch', epoch));
    assert.deepEqual(await collect(), { ...nothing, uploads: 1, orphans: 1, parked: 1, blobs: 1 });
  });
});

describe('a blob that no repository holds', () => {
  test('is deleted after its grace period; a held one is kept', async (t) => {
    const { client, data, advance, collect } = await registry(t);
    await pushImageOf(client, 'app', 'held');
    const held = await filesOf(data);
    const digest = await client.pushBlob('app', 'let go');
    await client.delete(`/v2/app/blobs/${digest}`);
    advance(grace - minute);
    assert.deepEqual(await collect(), nothing);
    advance(2 * minute);
    assert.deepEqual(await collect(), { ...nothing, blobs: 1 });
    assert.deepEqual(await filesOf(data), held);
    assert.deepEqual(await collect(), nothing);
    await assertClean(data);
  });

  test('is kept while one of two repositories holds it', async (t) => {
    const { client, advance, collect } = await registry(t);
    const digest = await client.pushBlob('app', 'shared');
    await client.send('POST', `/v2/other/blobs/uploads/?mount=${digest}&from=app`);
    await pushImageOf(client, 'other', 'shared');
    await client.delete(`/v2/app/blobs/${digest}`);
    advance(grace + minute);
    assert.deepEqual(await collect(), nothing);
    assert.equal((await client.get(`/v2/other/blobs/${digest}`)).status, 200);
  });

  test('is kept when it is pushed again just before the end of the grace period', async (t) => {
    const { client, advance, collect } = await registry(t);
    const digest = await client.pushBlob('app', 'again');
    await client.delete(`/v2/app/blobs/${digest}`);
    advance(grace - minute);
    await client.pushBlob('app', 'again');
    await client.delete(`/v2/app/blobs/${digest}`);
    advance(2 * minute);
    assert.deepEqual(await collect(), nothing);
    advance(grace);
    assert.deepEqual(await collect(), { ...nothing, blobs: 1 });
  });

  test('that is pushed again between decision and deletion keeps its new bytes', async (t) => {
    const { client, data, store, advance, collect } = await registry(t);
    const digest = await client.pushBlob('app', 'wanted again');
    await client.delete(`/v2/app/blobs/${digest}`);
    advance(grace + minute);
    const deleted: string[] = [];
    const racing: BlobStore = {
      ...store,
      async delete(key) {
        await client.pushBlob('app', 'wanted again');
        await store.delete(key);
        // A repeated, late deletion does not touch the new bytes either.
        await store.delete(key);
        deleted.push(key);
      },
    };
    await collect({ store: racing });
    assert.deepEqual(deleted, [fileOf(digest)]);
    assert.equal((await client.get(`/v2/app/blobs/${digest}`)).body.toString(), 'wanted again');
    assert.deepEqual(await filesOf(data), [fileOf(digest, 1)]);
    await pushImageOf(client, 'app', 'wanted again');
    advance(grace + minute);
    assert.deepEqual(await collect(), nothing);
    await assertClean(data);
  });

  test('whose deletion is decided during a new commit of its bytes is not acknowledged to the client', async (t) => {
    let decide: (() => Promise<unknown>) | undefined;
    const { client, data, advance, collect } = await registry(t, (store) => ({
      ...store,
      async commit(...parameters) {
        await store.commit(...parameters);
        await decide?.();
      },
    }));
    const digest = await client.pushBlob('app', 'too late');
    await client.delete(`/v2/app/blobs/${digest}`);
    advance(grace + minute);
    decide = () => collect();
    const url = `/v2/app/blobs/uploads/?digest=${digest}`;
    assert.equal((await client.send('POST', url, {}, 'too late')).status, 503);
    decide = undefined;
    assert.equal((await client.get(`/v2/app/blobs/${digest}`)).status, 404);
    await client.pushBlob('app', 'too late');
    assert.equal((await client.get(`/v2/app/blobs/${digest}`)).body.toString(), 'too late');
    assert.deepEqual(await filesOf(data), [fileOf(digest, 1)]);
  });
});

describe('a blob in a repository', () => {
  test('is removed, and its bytes deleted, when no manifest needs it for the grace period', async (t) => {
    const { client, data, advance, collect } = await registry(t);
    const digest = await client.pushBlob('app', 'never needed');
    advance(grace - minute);
    assert.deepEqual(await collect(), nothing);
    advance(2 * minute);
    assert.deepEqual(await collect(), { ...nothing, links: 1, blobs: 1 });
    assert.equal((await client.head(`/v2/app/blobs/${digest}`)).status, 404);
    assert.deepEqual(await filesOf(data), []);
    assert.deepEqual(await collect(), nothing);
  });

  test('stays while a manifest needs it, and for the grace period after the deletion of the last one', async (t) => {
    const { client, data, advance, collect } = await registry(t);
    const first = await pushImageOf(client, 'app', 'shared', 'only here');
    const second = await pushImageOf(client, 'app', 'shared');
    advance(grace + minute);
    assert.deepEqual(await collect(), nothing);
    await client.delete(`/v2/app/manifests/${first.digest}`);
    advance(grace - minute);
    assert.deepEqual(await collect(), nothing);
    advance(2 * minute);
    assert.deepEqual(await collect(), { ...nothing, links: 2, blobs: 2 });
    assert.equal((await client.get(`/v2/app/blobs/${digestOf('shared')}`)).status, 200);
    assert.equal((await client.get(`/v2/app/manifests/${second.digest}`)).status, 200);
    await client.delete(`/v2/app/manifests/${second.digest}`);
    advance(grace + minute);
    assert.deepEqual(await collect(), { ...nothing, links: 2, blobs: 2 });
    assert.deepEqual(await filesOf(data), []);
  });

  test('keeps its bytes while a manifest of another repository needs it', async (t) => {
    const { client, advance, collect } = await registry(t);
    const { digest } = await pushImageOf(client, 'app', 'shared');
    await pushImageOf(client, 'other', 'shared');
    await client.delete(`/v2/app/manifests/${digest}`);
    advance(grace + minute);
    assert.deepEqual(await collect(), { ...nothing, links: 2, blobs: 1 });
    assert.equal((await client.get(`/v2/app/blobs/${digestOf('shared')}`)).status, 404);
    assert.equal((await client.get(`/v2/other/blobs/${digestOf('shared')}`)).status, 200);
  });

  test('stays if an index lists it as a child, as cache exports of BuildKit do', async (t) => {
    const { client, advance, collect } = await registry(t);
    const layer = await client.pushContent('app', 'cached layer');
    const index = {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [layer],
    };
    await client.pushManifest('app', index, 'cache');
    advance(grace + minute);
    assert.deepEqual(await collect(), nothing);
    assert.equal((await client.get(`/v2/app/blobs/${layer.digest}`)).status, 200);
  });

  for (const [what, show] of [
    ['a push of the same bytes', (client: Client) => client.pushBlob('app', 'wanted')],
    [
      'a HEAD request of a client that may push',
      (client: Client) => client.head(`/v2/app/blobs/${digestOf('wanted')}`),
    ],
    [
      'a mount',
      (client: Client) => client.send('POST', `/v2/app/blobs/uploads/?mount=${digestOf('wanted')}&from=app`),
    ],
  ] as const) {
    test(`stays for another grace period after ${what}`, async (t) => {
      const { client, advance, collect } = await registry(t);
      await client.pushBlob('app', 'wanted');
      advance(grace - minute);
      await show(client);
      advance(2 * minute);
      assert.deepEqual(await collect(), nothing);
      advance(grace);
      assert.deepEqual(await collect(), { ...nothing, links: 1, blobs: 1 });
    });
  }

  test('does not stay longer because of GET requests', async (t) => {
    const { client, advance, collect } = await registry(t);
    await client.pushBlob('app', 'pulled');
    advance(grace - minute);
    await client.get(`/v2/app/blobs/${digestOf('pulled')}`);
    advance(2 * minute);
    assert.deepEqual(await collect(), { ...nothing, links: 1, blobs: 1 });
  });

  test('is not reviewed again until a manifest that needs it is deleted', async (t) => {
    const { client, database, advance, collect } = await registry(t);
    await pushImageOf(client, 'app', 'one', 'two');
    assert.equal((await reviewQueue(database.read, 10)).length, 3);
    advance(grace + minute);
    await collect();
    assert.equal((await reviewQueue(database.read, 10)).length, 0);
  });
});

describe('a paused garbage collection', () => {
  const pause = (database: Database, reason: string | undefined) =>
    database.transaction((db) => setProperty(db, 'gc-paused', reason));

  test('deletes nothing until it is resumed', async (t) => {
    const { client, data, database, advance, collect } = await registry(t);
    await client.pushBlob('app', 'never needed');
    advance(grace + minute);
    await pause(database, 'moving house');
    await assert.rejects(collect(), /garbage collection is paused: moving house/);
    assert.equal((await filesOf(data)).length, 1);
    await pause(database, undefined);
    assert.deepEqual(await collect(), { ...nothing, links: 1, blobs: 1 });
  });

  test('stops before the next batch', async (t) => {
    const { client, data, database, store, advance, collect } = await registry(t);
    for (let i = 0; i < 110; i++) await client.pushBlob('app', `blob ${i}`);
    advance(grace + minute);
    let deleted = 0;
    const pausing: BlobStore = {
      ...store,
      async delete(key) {
        deleted += 1;
        if (deleted === 1) await pause(database, 'now');
        await store.delete(key);
      },
    };
    await assert.rejects(collect({ store: pausing }), /garbage collection is paused: now/);
    assert.equal(deleted, 100);
    await pause(database, undefined);
    assert.equal((await collect()).blobs, 10);
    assert.deepEqual(await filesOf(data), []);
  });
});

test('garbage collection deletes nothing after a newer version has migrated the database', async (t) => {
  const { client, data, database, advance, collect } = await registry(t);
  await client.pushBlob('app', 'never needed');
  advance(grace + minute);
  await database.transaction((db) =>
    sql`insert into kysely_migration (name, timestamp) values ('9999-newer', '')`.execute(db),
  );
  await assert.rejects(collect(), { reason: 'migration' });
  assert.equal((await filesOf(data)).length, 1);
});

test('garbage collection counts the blobs that it checked and kept', async (t) => {
  const { client, advance, collect } = await registry(t);
  await pushImageOf(client, 'app', 'layer');
  await collect();
  advance(grace + minute);
  const reported: Collected[] = [];
  await collect({ report: (collected) => void reported.push(collected) });
  assert.equal(reported[0]?.kept, 2);
});

describe('a garbage collection that would delete more than gc.maxPercent', () => {
  test('deletes nothing and gives the numbers', async (t) => {
    const { client, data, database, advance, collect } = await registry(t);
    const count = 1_010;
    await database.transaction(async (db) => {
      const repository = await findOrCreateRepository(db, parseName('app'), 1);
      for (let i = 0; i < count; i++) {
        const digest = asDigest(digestOf(`blob ${i}`))!;
        await recordStored(db, { digest, size: 1, generation: 0 }, 1);
        await linkBlob(db, repository, digest, 1);
      }
    });
    const limits = { blobsPerSecond: 0, bytesPerSecond: 0, maxPercent: 50 };
    await measure({ database }, AbortSignal.timeout(60_000));
    await assert.rejects(
      collect({ limits }),
      /would delete 1010 or more of 1010 blobs, but gc.maxPercent is 50/,
    );
    assert.equal((await unheldQueue(database.read, 10)).length, 0);
    // Needed blobs do not count.
    const layers = Array.from({ length: count }, (_, i) => ({
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
      digest: digestOf(`blob ${i}`),
      size: 1,
    }));
    const config = await client.pushContent('app', '{}', ociConfig);
    await client.pushManifest('app', imageOf(config, layers), 'all');
    advance(grace + minute);
    assert.deepEqual(await collect({ limits }), nothing);
    assert.deepEqual(await filesOf(data), [fileOf(config.digest)]);
  });
});

describe('after a clock that was ahead has been corrected', () => {
  const ahead = 30 * 24 * 60 * minute;

  /** Takes the session's lease for a writer that dies. */
  async function leaseAhead(database: Database, location: string): Promise<void> {
    const id = location.split('/').at(-1)!;
    await database.transaction(async (db) => {
      const uploads = await db.selectFrom('uploads').select('writer').where('id', '=', id).execute();
      const time = Date.now() + ahead;
      const dead = { before: uploads[0]!.writer, writer: 'dead', until: time, now: time };
      assert.ok(await leaseUpload(db, id, dead));
    });
  }

  test('an upload expires as if it was last used at the next garbage collection', async (t) => {
    const { client, database, advance, collect } = await registry(t);
    advance(ahead);
    const location = await client.openUpload('app');
    await client.patch(location, 'bytes');
    await leaseAhead(database, location);
    advance(-ahead);
    assert.deepEqual(await collect(), nothing);
    assert.equal((await client.get(location)).status, 204);
    advance(expireAfter + minute);
    assert.deepEqual(await collect(), { ...nothing, uploads: 1 });
  });

  test('a client can at once continue an upload whose writer died while the clock was ahead', async (t) => {
    const { client, database, advance } = await registry(t);
    const location = await client.openUpload('app');
    await client.patch(location, 'one');
    await leaseAhead(database, location);
    advance(minute);
    assert.equal((await client.patch(location, 'two')).status, 202);
    assert.equal((await client.finish(location, digestOf('onetwo'))).status, 201);
  });

  test('an unheld blob is kept for the grace period from the next garbage collection on', async (t) => {
    const { client, data, advance, collect } = await registry(t);
    advance(ahead);
    const digest = await client.pushBlob('app', 'bytes');
    await client.delete(`/v2/app/blobs/${digest}`);
    advance(-ahead);
    assert.deepEqual(await collect(), nothing);
    advance(grace + minute);
    assert.deepEqual(await collect(), { ...nothing, blobs: 1 });
    assert.deepEqual(await filesOf(data), []);
  });
});

describe('a garbage collection', () => {
  /** Creates something of every kind that a collect deletes, and an image that it keeps. */
  async function litter({ client, data, advance }: Fixture): Promise<string[]> {
    await client.pushImage('app', 'v1');
    const kept = await filesOf(data);
    for (let i = 0; i < 2; i++) {
      await client.patch(await client.openUpload('app'), 'abandoned');
      const digest = await client.pushBlob('app', `let go ${i}`);
      await client.delete(`/v2/app/blobs/${digest}`);
      await leave(data, `uploads/orphan-${i}`, expireAfter);
      await leave(data, fileOf(digestOf(`orphan ${i}`)), expireAfter);
      kept.push(fileOf(digestOf(`orphan ${i}`)));
    }
    advance(expireAfter + minute);
    return kept.sort();
  }

  test('killed at any step is completed by the next one', async (t) => {
    for (let step = 1, finished = false; !finished; step++) {
      const parts = await registry(t);
      const kept = await litter(parts);
      let steps = 0;
      const live = async <T>(call: () => Promise<T>): Promise<T> => {
        if (steps >= step) throw new Error('killed');
        steps += 1;
        return call();
      };
      const { database, store } = parts;
      const dying = {
        database: {
          ...database,
          transaction: (work, options) => live(() => database.transaction(work, options)),
        },
        store: {
          ...store,
          delete: (key) => live(() => store.delete(key)),
          abort: (upload) => live(() => store.abort(upload)),
          deleteStaged: (name) => live(() => store.deleteStaged(name)),
        },
      } satisfies { database: Database; store: BlobStore };
      finished = await parts.collect(dying).then(
        () => true,
        () => false,
      );
      assert.deepEqual(
        (await examine(parts.data)).findings.filter(({ severity }) => severity === 'error'),
        [],
      );
      await parts.collect();
      await parts.collect();
      assert.deepEqual(await filesOf(parts.data), kept, `killed at step ${step}`);
      assert.deepEqual(await parts.collect(), nothing);
      await assertClean(parts.data);
      if (finished) assert.ok(step > 12, `only ${step} steps`);
    }
  });

  test('keeps files that are not blobs and deletes the rest', async (t) => {
    const parts = await registry(t);
    const kept = await litter(parts);
    const garbage = [
      'docker/registry/v2/blobs/README',
      'docker/registry/v2/blobs/sha256/zz/data',
      `${dirname(fileOf(digestOf('x')))}/data.x`,
      'docker/registry/v2/repositories/app/_layers/sha256/link',
    ];
    for (const path of garbage) await leave(parts.data, path, expireAfter);
    await parts.collect();
    assert.deepEqual(await filesOf(parts.data), [...kept, ...garbage].sort());
  });

  test('that cannot delete a file deletes the others and reports it', async (t) => {
    const parts = await registry(t);
    const kept = await litter(parts);
    const stuck = fileOf(digestOf('let go 0'));
    const refuse = (name: string): void => {
      if (name === stuck || name === 'orphan-0') throw Object.assign(new Error('EPERM'), { code: 'EPERM' });
    };
    const store: BlobStore = {
      ...parts.store,
      async delete(key) {
        refuse(key);
        await parts.store.delete(key);
      },
      async deleteStaged(name) {
        refuse(name);
        await parts.store.deleteStaged(name);
      },
    };
    await assert.rejects(parts.collect({ store }), /could not delete 2 files/);
    assert.deepEqual(await filesOf(parts.data), [...kept, stuck, 'uploads/orphan-0'].sort());
    await parts.collect();
    assert.deepEqual(await filesOf(parts.data), kept);
  });

  test('that was suspended while another one finished deletes nothing that was pushed since', async (t) => {
    const { client, data, store, advance, collect } = await registry(t);
    const digest = await client.pushBlob('app', 'pushed again');
    await client.delete(`/v2/app/blobs/${digest}`);
    advance(grace + minute);
    const asleep = Promise.withResolvers<void>();
    const awake = Promise.withResolvers<void>();
    const sleepy: BlobStore = {
      ...store,
      async delete(key) {
        asleep.resolve();
        await awake.promise;
        await store.delete(key);
      },
    };
    const first = collect({ store: sleepy });
    await asleep.promise;
    assert.deepEqual(await collect(), { ...nothing, blobs: 1 });
    await client.pushBlob('app', 'pushed again');
    awake.resolve();
    await first;
    assert.equal((await client.get(`/v2/app/blobs/${digest}`)).body.toString(), 'pushed again');
    assert.deepEqual(await collect(), nothing);
    await assertClean(data);
  });

  test('loses nothing while another garbage collection runs and clients push the blobs that are being deleted', async (t) => {
    const parts = await registry(t);
    const { client, data, collect } = parts;
    const other = await openSqlite(join(data, 'berth.db'));
    cleanUp(t, () => other.close());
    const kept = await litter(parts);
    const pushAgain = async (content: string): Promise<string> => {
      const url = `/v2/app/blobs/uploads/?digest=${digestOf(content)}`;
      for (;;) {
        const { status } = await client.send('POST', url, {}, content);
        if (status === 201) return content;
        assert.equal(status, 503);
      }
    };
    const [, , ...pushed] = await Promise.all([
      collect(),
      collect({ database: other }),
      ...['let go 0', 'let go 1', 'orphan 0', 'orphan 1'].map(pushAgain),
    ]);
    for (const content of pushed) {
      const { body } = await client.get(`/v2/app/blobs/${digestOf(content)}`);
      assert.equal(body.toString(), content);
    }
    await pushImageOf(client, 'app', ...pushed);
    parts.advance(grace + minute);
    await collect();
    // Two of the four were parked and are in `kept`; the fifth is the image's configuration.
    assert.equal((await filesOf(data)).length, kept.length + 3);
    await assertClean(data);
  });

  test('reports its counts even when it fails', async (t) => {
    const parts = await registry(t);
    await litter(parts);
    const reported: object[] = [];
    const store: BlobStore = { ...parts.store, delete: async () => Promise.reject(new Error('EIO')) };
    await assert.rejects(parts.collect({ store, report: (collected) => void reported.push(collected) }));
    const { parked: _, ...none } = nothing;
    assert.deepEqual(reported, [{ ...none, uploads: 2, orphans: 2, kept: 2, bytes: 0 }]);
  });

  test('ends at the next step when it is aborted', async (t) => {
    const parts = await registry(t);
    await litter(parts);
    const before = await filesOf(parts.data);
    const { database, store } = parts;
    const collected = collectGarbage(
      { ...collectionParts(database, store), clock: () => Date.now() + expireAfter, expireAfter, grace },
      AbortSignal.abort(),
    );
    await assert.rejects(collected, { name: 'AbortError' });
    assert.deepEqual(await filesOf(parts.data), before);
  });

  test('deletes nothing that is in use', async (t) => {
    const { client, data, advance, collect } = await registry(t);
    const pushed: string[] = [];
    for (let i = 0; i < 5; i++) {
      const config = await client.pushContent('app', randomBytes(100), ociConfig);
      pushed.push((await client.pushManifest('app', imageOf(config, []), `v${i}`)).digest, config.digest);
      advance(expireAfter);
      assert.deepEqual(await collect(), nothing);
    }
    assert.equal((await examine(data)).walked.blobs, 5);
    await assertClean(data);
  });
});
