// With a lost, older or foreign database, on files and in a bucket, no pushed blob is lost.
import assert from 'node:assert/strict';
import { copyFile, rename, rm, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { bucket, database as databaseAt, type Place, place } from '../../test/migrate/places.ts';
import { berth } from '../../test/support/berth.ts';
import { cleanUp } from '../../test/support/cleanup.ts';
import { collectionParts } from '../../test/support/garbage.ts';
import { Client, imageOf, ociConfig, ociLayer } from '../../test/support/inject.ts';
import { openMemoryStore } from '../../test/support/memory-store.ts';
import { needs } from '../../test/support/needs.ts';
import { openTestPostgres } from '../../test/support/postgres.ts';
import { asAdministrator } from '../../test/support/postgres-server.ts';
import { bucketFolder, s3Settings } from '../../test/support/s3.ts';
import { type App, createApp } from '../app.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { listAuditEntries } from '../db/audit-events.ts';
import { system } from '../db/changes.ts';
import { findProperty, setProperty } from '../db/properties.ts';
import { collectGarbage } from '../jobs/collect-garbage.ts';
import { findUnknownBlobs } from '../jobs/find-unknown-blobs.ts';
import { asDigest } from '../oci/digest.ts';
import { openDatabase, openStore } from '../open.ts';
import { type BlobStore, blobKey, markerKey } from '../storage/blob-store.ts';
import { repair } from './repair.ts';
import { StoreEpoch } from './store-epoch.ts';
import { advanceEpoch, compare, largestEpoch } from './store-identity.ts';
import { StoreDisagrees, StoreMismatch } from './store-mismatch.ts';

const day = 24 * 3_600_000;

/** A registry on disk or on servers, whose database can be replaced. */
interface World {
  readonly at: Place;
  /** The folder with the marker. */
  readonly folder: string;
  /** Copies the database of the closed registry. */
  copy(): Promise<void>;
  /** Restores the copy. */
  restore(): Promise<void>;
  /** Replaces the database by an empty one. */
  empty(): Promise<void>;
}

const worlds: Record<string, (t: TestContext) => Promise<World | undefined>> = {
  async 'SQLite and files'(t) {
    const at = await place(t, { anonymous: 'push', log: { level: 'silent' } });
    const file = join(at.data, 'berth.db');
    const remove = () => Promise.all(['', '-wal', '-shm'].map((end) => rm(file + end, { force: true })));
    return {
      at,
      folder: at.data,
      copy: () => copyFile(file, `${file}.copy`),
      async restore() {
        await remove();
        await rename(`${file}.copy`, file);
      },
      empty: async () => void (await remove()),
    };
  },
  async 'PostgreSQL and S3'(t) {
    if (!needs(t, 'postgres')) return undefined;
    const s3 = await s3Settings(t);
    if (s3 === undefined) return undefined;
    const url = new URL(await openTestPostgres(t));
    const settings = (url: string) => ({ ...databaseAt(url), ...bucket(s3), anonymous: 'push' });
    const at = { ...(await place(t, { ...settings(url.href), log: { level: 'silent' } })) };
    const name = url.pathname.slice(1);
    const other = new URL(url);
    other.pathname = `${name}_copy`;
    const use = async (url: string): Promise<void> => {
      at.file = (await place(t, { ...settings(url), log: { level: 'silent' } })).file;
    };
    const administrate = (statement: string) => {
      const main = new URL(url);
      main.pathname = '/postgres';
      return asAdministrator(main.href, (admin) => admin.query(statement));
    };
    cleanUp(t, () => administrate(`drop database if exists "${name}_copy" with (force)`));
    return {
      get at() {
        return at;
      },
      folder: await bucketFolder(s3),
      copy: async () => void (await administrate(`create database "${name}_copy" template "${name}"`)),
      restore: () => use(other.href),
      empty: async () => use(await openTestPostgres(t)),
    };
  },
};

interface Running {
  readonly app: App;
  readonly client: Client;
}

function configOf({ file }: Place): Config {
  return loadConfig({ file, env: {} }).config;
}

async function serve(t: TestContext, at: Place): Promise<Running> {
  const app = await createApp(configOf(at));
  cleanUp(t, () => app.close());
  return { app, client: new Client(app.http) };
}

async function push(client: Client, name: string, count = 3): Promise<string[]> {
  const pushed: string[] = [];
  for (let i = 0; i < count; i++) pushed.push(await client.pushBlob('app', `${name} ${i}`));
  const layers = pushed.map((digest) => ({ mediaType: ociLayer, digest, size: `${name} 0`.length }));
  const config = await client.pushContent('app', '{}', ociConfig);
  await client.pushManifest('app', imageOf(config, layers), 'latest');
  return pushed;
}

/** A search for unknown blobs and a garbage collection, ten days from now. */
async function collectGarbageLater(at: Place): Promise<unknown> {
  const config = configOf(at);
  const [database, store] = [await openDatabase(config), await openStore(config)];
  try {
    const clock = () => database.clock() + 10 * day;
    const parts = { ...collectionParts(database, store, 30 * day), clock, expireAfter: day, grace: day };
    await findUnknownBlobs(parts);
    return await collectGarbage(parts);
  } finally {
    await Promise.all([database.close(), store.close()]);
  }
}

async function assertStored(at: Place, digests: readonly string[]): Promise<void> {
  const store = await openStore(configOf(at));
  for (const digest of digests) {
    assert.ok(await store.stat(blobKey(asDigest(digest)!, 0)), `${digest} is gone`);
  }
  await store.close();
}

async function fsck(at: Place, ...flags: string[]): Promise<{ exitCode: number; kinds: string[] }> {
  const { exitCode, out } = await berth('fsck', '--json', ...flags, '--config', at.file);
  const lines = out.trim().split('\n').slice(0, -1);
  return { exitCode, kinds: lines.map((line) => (JSON.parse(line) as { kind: string }).kind) };
}

for (const [name, open] of Object.entries(worlds)) {
  test(`${name}: an empty database with a filled store is refused, and nothing is lost`, async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    const { app, client } = await serve(t, world.at);
    const pushed = await push(client, 'a');
    await app.close();
    await world.empty();
    for (let i = 0; i < 2; i++) {
      await assert.rejects(createApp(configOf(world.at)), (error: Error) => {
        assert.ok(error instanceof StoreMismatch);
        assert.match(
          error.message,
          /^the database .* is empty, but the .* holds registry .*If the database is the wrong/,
        );
        assert.doesNotMatch(error.message, /postgres:\/\/|password/);
        return true;
      });
    }
    await assertStored(world.at, pushed);
  });

  test(`${name}: with an older copy of the database nothing is deleted, and a repair keeps unknown blobs`, async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    let { app, client } = await serve(t, world.at);
    const older = await push(client, 'older');
    await client.delete(`/v2/app/blobs/${older[0]}`);
    await app.close();
    await world.copy();
    ({ app, client } = await serve(t, world.at));
    const newer = await push(client, 'newer');
    await push(client, 'older', 1);
    await app.close();
    await world.restore();

    ({ app, client } = await serve(t, world.at));
    assert.equal((await client.get(`/v2/app/blobs/${older[1]}`)).status, 200);
    assert.equal((await client.get(`/v2/app/blobs/${newer[0]}`)).status, 404);
    const pushed = await push(client, 'pushed meanwhile', 1);
    const metrics = await app.operations.metrics.metrics();
    assert.match(metrics, /^berth_store_agrees 0$/m);
    await assert.rejects(collectGarbageLater(world.at), StoreDisagrees);
    const all = [...older, ...newer, ...pushed];
    await assertStored(world.at, all);
    const found = await fsck(world.at);
    assert.equal(found.exitCode, 1);
    assert.ok(found.kinds.includes('database-older'));

    const plan = await berth('fsck', '--repair', '--config', world.at.file);
    assert.equal(plan.exitCode, 1);
    assert.match(plan.out, /^database-older: .*\n3 blobs \(.*\) unknown to the database, to record/);
    assert.ok((await fsck(world.at)).kinds.includes('database-older'), 'the plan changes nothing');
    const done = await berth('fsck', '--repair', '--yes', '--config', world.at.file);
    assert.equal(done.exitCode, 0, done.err);
    const log = await berth('audit', 'export', '--action', 'registry.repair', '--config', world.at.file);
    const repairs = log.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const did = repairs.map(({ detail }) => detail.did);
    assert.deepEqual(did, ['park', 'park', 'park', 'epoch']);
    const { exitCode, kinds } = await fsck(world.at);
    assert.deepEqual([exitCode, kinds], [0, newer.map(() => 'blob-parked')]);
    await collectGarbageLater(world.at);
    // Blobs that the restored database had already released are deleted as usual.
    await assertStored(world.at, all.slice(1));
  });

  test(`${name}: two registries whose stores were swapped are refused`, async (t) => {
    const [one, other] = [await open(t), await open(t)];
    if (one === undefined || other === undefined) return;
    const pushed: [Place, string[]][] = [];
    for (const { at } of [one, other]) {
      const { app, client } = await serve(t, at);
      pushed.push([at, await push(client, at.file, 2)]);
      await app.close();
    }
    const markers = [one, other].map(({ folder }) => join(folder, markerKey)) as [string, string];
    const kept = `${markers[0]}.kept`;
    await rename(markers[0], kept);
    await rename(markers[1], markers[0]);
    await rename(kept, markers[1]);
    for (const [at, digests] of pushed) {
      await assert.rejects(createApp(configOf(at)), /belong to different registries/);
      await assert.rejects(collectGarbageLater(at), StoreMismatch);
      const { exitCode, kinds } = await fsck(at);
      assert.deepEqual([exitCode, kinds], [1, ['other-registry']]);
      const repaired = await berth('fsck', '--repair', '--yes', '--config', at.file);
      assert.equal(repaired.exitCode, 1);
      await assertStored(at, digests);
    }
  });

  test(`${name}: a registry of a version without markers is marked if the store has its blobs`, async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    const { app, client } = await serve(t, world.at);
    const pushed = await push(client, 'a', 4);
    await app.close();
    const unmark = async (): Promise<void> => {
      const database = await openDatabase(configOf(world.at));
      for (const property of ['registry', 'epoch'] as const) {
        await database.transaction((db) => setProperty(db, property, undefined));
      }
      await database.close();
      await unlink(join(world.folder, markerKey));
    };
    await unmark();
    await (await serve(t, world.at)).app.close();
    await collectGarbageLater(world.at);
    await assertStored(world.at, pushed);
    assert.equal((await fsck(world.at)).exitCode, 0);

    await unmark();
    for (const digest of pushed.slice(1)) await unlink(join(world.folder, blobKey(asDigest(digest)!, 0)));
    await assert.rejects(createApp(configOf(world.at)), /records blobs that .* does not have/);
  });

  test(`${name}: a store that has lost its marker, or is an older copy, is served, but no garbage is collected`, async (t) => {
    const world = await open(t);
    if (world === undefined) return;
    const { app, client } = await serve(t, world.at);
    const pushed = await push(client, 'a');
    await client.delete(`/v2/app/blobs/${pushed[0]}`);
    await app.close();
    await collectGarbageLater(world.at).catch(() => {});
    const again = await serve(t, world.at);
    await push(again.client, 'b');
    await again.app.close();
    const left = [...pushed.slice(1)];
    for (const [kind, damage] of [
      ['marker-lost', () => unlink(join(world.folder, markerKey))],
      ['store-older', () => raiseEpoch(world.at)],
    ] as const) {
      await damage();
      const { client, app } = await serve(t, world.at);
      assert.equal((await client.get(`/v2/app/blobs/${left[0]}`)).status, 200);
      await assert.rejects(collectGarbageLater(world.at), StoreDisagrees);
      assert.deepEqual((await fsck(world.at)).kinds, [kind]);
      assert.equal((await berth('fsck', '--repair', '--yes', '--config', world.at.file)).exitCode, 0);
      assert.deepEqual(await fsck(world.at), { exitCode: 0, kinds: [] });
      await app.close();
    }
    await assertStored(world.at, left);
  });
}

async function raiseEpoch(at: Place): Promise<void> {
  const database = await openDatabase(configOf(at));
  await database.transaction((db) => setProperty(db, 'epoch', '1000'));
  await database.close();
}

/** A matching database and store, without a server. */
async function markedPair(t: TestContext) {
  const database = await openDatabase(configOf(await place(t, {})));
  cleanUp(t, () => database.close());
  const store = openMemoryStore();
  const places = { database: 'the database', store: 'the store' };
  await advanceEpoch(database, store, places);
  const registry = (await findProperty(database.read, 'registry')) as string;
  const mark = (epoch: unknown) => store.writeMarker(JSON.stringify({ registry, epoch }));
  return { database, store, places, registry, mark };
}

test('a marker with an impossible epoch counts as damaged, and is repaired after its deletion', async (t) => {
  const { database, store, places, registry, mark } = await markedPair(t);
  const before = await findProperty(database.read, 'epoch');
  for (const epoch of [-1, 0, 1.5, '3', null, largestEpoch + 1, Number.MAX_SAFE_INTEGER, 2 ** 53, 1e300]) {
    await mark(epoch);
    for (const use of [
      () => compare(database.read, store),
      () => repair({ database, by: system, store, places, change: true }),
      () => advanceEpoch(database, store, places),
    ]) {
      await assert.rejects(use, (error: Error) => {
        assert.ok(error instanceof StoreMismatch, `${epoch}`);
        assert.match(
          error.message,
          /is damaged .*: restore it from a backup, or delete it and run `berth fsck --repair`$/,
        );
        return true;
      });
    }
    assert.equal(await findProperty(database.read, 'epoch'), before, `${epoch}`);
  }
  // Follows the message. A memory store cannot delete its marker, so a new one shows the same blobs.
  const emptied = { ...openMemoryStore(), list: store.list, stat: store.stat };
  await repair({ database, by: system, store: emptied, places, change: true });
  const { relation, epoch, marker } = await compare(database.read, emptied);
  assert.deepEqual([relation, marker], ['agree', { registry, epoch }]);
  const [repaired, ...others] = await listAuditEntries(database.read, {}, undefined, 10);
  assert.deepEqual([repaired?.action, others], ['registry.repair', []]);
  assert.partialDeepStrictEqual(JSON.parse(repaired?.detail as string), { did: 'epoch', epoch });
});

test('a restored database counts as older, even with the epoch of its store, until a repair', async (t) => {
  const { database, store, places, registry } = await markedPair(t);
  await database.transaction((db) => setProperty(db, 'restored', 'berth-backup-2026-01-31T03-00-00Z'));
  assert.equal((await compare(database.read, store)).relation, 'restored');
  await assert.rejects(advanceEpoch(database, store, places), StoreDisagrees);
  await repair({ database, by: system, store, places, change: false });
  assert.equal((await compare(database.read, store)).relation, 'restored');
  await repair({ database, by: system, store, places, change: true });
  const { relation, epoch, marker } = await compare(database.read, store);
  assert.deepEqual([relation, marker], ['agree', { registry, epoch }]);
  await advanceEpoch(database, store, places);
});

test('a repair never writes an epoch that is invalid at the next start', async (t) => {
  const { database, store, places, mark } = await markedPair(t);
  await mark(largestEpoch);
  const before = await findProperty(database.read, 'epoch');
  await assert.rejects(repair({ database, by: system, store, places, change: true }), StoreMismatch);
  assert.equal(await findProperty(database.read, 'epoch'), before);
  await mark(largestEpoch - 1);
  await repair({ database, by: system, store, places, change: true });
  const { relation, epoch } = await compare(database.read, store);
  assert.deepEqual([relation, epoch], ['agree', largestEpoch]);
});

test('a database with an invalid epoch is reported as damaged', async (t) => {
  const { database, store } = await markedPair(t);
  for (const epoch of ['9007199254740992', '-1', 'x', '']) {
    await database.transaction((db) => setProperty(db, 'epoch', epoch));
    await assert.rejects(
      compare(database.read, store),
      /the database's epoch is damaged: restore the database/,
    );
  }
});

test('the epoch is raised after the first blob, after a pause for later blobs, and at shutdown', async (t) => {
  const at = await place(t, {});
  const database = await openDatabase(configOf(at));
  cleanUp(t, () => database.close());
  const store = openMemoryStore();
  const checks = new EventTarget();
  let problem: unknown;
  const checked = (found: unknown): void => {
    problem = found;
    checks.dispatchEvent(new Event('check'));
  };
  const nextCheck = () => new Promise((resolve) => checks.addEventListener('check', resolve, { once: true }));
  const epoch = new StoreEpoch({
    database,
    store,
    places: { database: 'the database', store: 'the store' },
    clock: Date.now,
    holder: 'this',
    checked,
    pause: 50,
  });
  const watched = epoch.wrap(store);
  await epoch.advance();
  const first = nextCheck();
  await commitTo(watched, 'a');
  await first;
  assert.deepEqual([problem, await epochOf(store)], [undefined, 3]);
  const second = nextCheck();
  await commitTo(watched, 'b');
  await second;
  assert.equal(await epochOf(store), 4);
  await commitTo(watched, 'c');
  await epoch.close();
  assert.equal(await epochOf(store), 5);
});

async function commitTo(store: BlobStore, id: string): Promise<void> {
  await store.commit({ id, size: 0, staged: '' }, blobKey(asDigest(`sha256:${id.repeat(64)}`)!, 0));
}

async function epochOf(store: BlobStore): Promise<number> {
  return (JSON.parse((await store.readMarker()) as string) as { epoch: number }).epoch;
}
