import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, type TestContext, test } from 'node:test';
import { backendNames } from '../../test/support/backend-names.ts';
import { openBackend } from '../../test/support/backends.ts';
import { cleanUp } from '../../test/support/cleanup.ts';
import { dialects } from '../../test/support/databases.ts';
import { collectionParts } from '../../test/support/garbage.ts';
import {
  assertError,
  Client,
  digestOf,
  imageOf,
  indexOf,
  ociConfig,
  refer,
} from '../../test/support/inject.ts';
import { openMemoryStore } from '../../test/support/memory-store.ts';
import { testRegistry } from '../../test/support/registry.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import type { ActingDatabase } from '../administration/change.ts';
import { configSchema } from '../config/schema.ts';
import { Blobs } from '../core/blobs.ts';
import { findScrub, shareRead } from '../core/scrub-state.ts';
import { listAuditEntries } from '../db/audit-events.ts';
import { recordStored } from '../db/blobs.ts';
import { system } from '../db/changes.ts';
import { countDamaged, listDamaged } from '../db/damaged-blobs.ts';
import { asDigest, type Digest } from '../oci/digest.ts';
import { parseName } from '../oci/name.ts';
import { openStore } from '../open.ts';
import { type BlobStore, blobKey } from '../storage/blob-store.ts';
import { openFilesystemStore } from '../storage/filesystem.ts';
import { collectGarbage } from './collect-garbage.ts';
import { isScrubDue, type ScrubParts, scrub } from './scrub.ts';

interface Fixture {
  readonly client: Client;
  readonly database: ActingDatabase;
  readonly store: BlobStore;
  /** Lines of what the scrub reported. */
  readonly found: string[];
  run(changed?: Partial<ScrubParts>, signal?: AbortSignal): ReturnType<typeof scrub>;
}

function withScrub(client: Client, database: ActingDatabase, store: BlobStore): Fixture {
  const found: string[] = [];
  const observer: ScrubParts['observer'] = {
    read() {},
    blobChecked() {},
    found: (what, { subject, affects }) => found.push(`${what} ${subject}: ${affects.join(' ')}`),
    healed: (digest) => found.push(`healed ${digest}`),
  };
  const parts = { database, store, by: system, checkStore: async () => {}, bytesPerSecond: 0, observer };
  const never = new AbortController().signal;
  return {
    ...{ client, database, store, found },
    run: (changed, signal = never) => scrub({ ...parts, ...changed }, signal),
  };
}

async function registry(t: TestContext, open: (t: TestContext) => Promise<ActingDatabase>): Promise<Fixture> {
  const database = await open(t);
  const store = openMemoryStore();
  const { app } = await testRegistry(t, {}, async () => ({ database, store }));
  return withScrub(new Client(app.http), database, store);
}

/** Replaces the bytes in the store. */
async function overwrite(store: BlobStore, digest: string, bytes: string): Promise<void> {
  const upload = { id: 'overwriting', size: 0, staged: '' };
  const { size, staged } = await store.append(upload, Readable.from([Buffer.from(bytes)]), { tap() {} });
  await store.commit({ ...upload, size, staged }, keyOf(digest));
}

function keyOf(digest: string) {
  return blobKey(asDigest(digest)!, 0);
}

const damages: readonly [what: string, damage: (store: BlobStore, digest: string) => Promise<void>][] = [
  ['other bytes', (store, digest) => overwrite(store, digest, 'a lager')],
  ['fewer bytes', (store, digest) => overwrite(store, digest, 'a l')],
  ['no file', (store, digest) => store.delete(keyOf(digest))],
];

for (const { name: dialect, open } of dialects) {
  describe(dialect, () => {
    for (const [what, damage] of damages) {
      test(`a blob with ${what} is refused on a pull, unknown to a push, and healed by the next push`, async (t) => {
        const { client, database, store, found, run } = await registry(t, open);
        const layer = await client.pushContent('app', 'a layer');
        const config = await client.pushContent('app', '{}', ociConfig);
        const child = await client.pushManifest('app', imageOf(config, [layer]));
        await client.pushManifest('app', indexOf([refer(child)]), 'v1');
        const url = `/v2/app/blobs/${layer.digest}`;
        await damage(store, layer.digest);
        await run();
        assert.deepEqual(found, [`damaged blob ${layer.digest}: app:v1`]);
        assert.deepEqual(
          (await listDamaged(database.read, 10)).map(({ digest }) => digest),
          [layer.digest],
        );

        const refused = await client.get(url);
        assertError(refused, 500, 'UNKNOWN');
        assert.match(refused.body.toString(), /copy of blob sha256:\w+ is damaged; push the image again/);
        assert.equal((await client.get(url, { range: 'bytes=0-1' })).status, 500);
        assert.equal((await client.head(url)).status, 404);
        const refusing = {
          ...database,
          transaction: async () => assert.fail('a transaction, which an unknown blob does not need'),
        };
        const blobs = new Blobs({ database: refusing, store, clock: Date.now });
        for (const from of [undefined, parseName('app')]) {
          const digest = layer.digest as Digest;
          assert.equal(await blobs.mount(parseName('b'), digest, from, () => true, { by: system }), false);
        }
        assertError(
          await client.putManifest('app', 'v2', imageOf(config, [layer])),
          400,
          'MANIFEST_BLOB_UNKNOWN',
        );

        await client.pushBlob('app', 'a layer');
        assert.equal((await client.get(url)).body.toString(), 'a layer');
        assert.equal((await client.head(url)).status, 200);
        await client.pushManifest('app', imageOf(config, [layer]), 'v2');
        found.length = 0;
        await run();
        assert.deepEqual(found, []);
        const changes = (await listAuditEntries(database.read, {}, undefined, 20)).map(
          ({ action, actor, digest }) => [action, actor, digest],
        );
        assert.deepEqual(
          changes.filter(([action]) => /^blob\.(damaged|healed)$/.test(action as string)),
          [
            ['blob.damaged', 'system', layer.digest],
            ['blob.healed', 'anonymous', layer.digest],
          ],
        );
      });
    }

    test('reports an unreadable blob, and does not mark it', async (t) => {
      const { client, database, store, found, run } = await registry(t, open);
      const digest = await client.pushBlob('app', 'a layer');
      const failing: BlobStore = {
        ...store,
        read: async () => {
          throw Object.assign(new Error('the disk failed'), { code: 'EIO' });
        },
      };
      await run({ store: failing });
      assert.deepEqual(found, [`unreadable blob ${digest}: app`]);
      assert.equal(await countDamaged(database.read, 10), 0);
      assert.equal((await findScrub(database.read)).last?.unreadable[0]?.subject, `blob ${digest}`);
      await run();
      assert.deepEqual((await findScrub(database.read)).last?.unreadable, [], 'read by the next pass');
    });

    test('a pass that is stopped in the middle of a blob continues with that blob', async (t) => {
      const { client, database, store, run } = await registry(t, open);
      const digests = await Promise.all(['a', 'b', 'c'].map((bytes) => client.pushBlob('app', bytes)));
      const [first, second, third] = digests.sort();
      const stop = new AbortController();
      const read: string[] = [];
      const counting: BlobStore = {
        ...store,
        read(key) {
          const digest = digests.find((digest) => keyOf(digest) === key)!;
          read.push(digest);
          if (digest === second) stop.abort(new Error('stopped'));
          return store.read(key);
        },
      };
      await assert.rejects(run({ store: counting }, stop.signal), /stopped/);
      assert.deepEqual(read, [first, second]);
      const { pass, last } = await findScrub(database.read);
      assert.deepEqual([pass?.after, pass?.blobs, last], [first, 1, undefined]);
      assert.equal(await isScrubDue(database.read, pass!.began, 1_000), true);
      read.length = 0;
      const { blobs, bytes } = await run({ store: counting });
      assert.deepEqual([read, blobs, bytes], [[second, third], 3, 3]);
      const { began } = (await findScrub(database.read)).last!;
      assert.equal(await isScrubDue(database.read, began + 999, 1_000), false);
      assert.equal(await isScrubDue(database.read, began + 1_000, 1_000), true);
    });

    test('a pass that another process has ended is not begun again by the process that lost the lease', async (t) => {
      const { client, database, store, run } = await registry(t, open);
      await client.pushBlob('app', 'a layer');
      const lost = new AbortController();
      const overtaken: BlobStore = {
        ...store,
        async read(key) {
          await run();
          lost.abort(new Error('lease lost'));
          return store.read(key);
        },
      };
      await assert.rejects(run({ store: overtaken }, lost.signal), /lease lost/);
      const { pass, last } = await findScrub(database.read);
      assert.deepEqual([pass, last?.blobs], [undefined, 1]);
    });

    test('a blob that is pushed while its old bytes are read is not marked', async (t) => {
      const { client, database, store, found, run } = await registry(t, open);
      const digest = asDigest(await client.pushBlob('app', 'a layer'))!;
      let reads = 0;
      const replaced: BlobStore = {
        ...store,
        async read(key) {
          reads += 1;
          if (reads > 2) return store.read(key);
          // A later push commits while the old bytes are read for the second time.
          const blob = { digest, size: 7, generation: 0 };
          if (reads === 2) {
            await database.transaction((db) => recordStored(db, blob, Date.now() + 60_000));
          }
          const stream = Readable.from([Buffer.from('a lager')]);
          return { stream, size: 7, close: () => void stream.destroy() };
        },
      };
      await run({ store: replaced });
      assert.deepEqual([reads, found, await countDamaged(database.read, 10)], [3, [], 0]);
    });

    test('a blob that is marked while it is mounted is not mounted', async (t) => {
      const { client, database, store, run } = await registry(t, open);
      const digest = asDigest(await client.pushBlob('app', 'a layer'))!;
      await store.delete(keyOf(digest));
      const transaction: typeof database.transaction = async (work) => {
        await run();
        return database.transaction(work);
      };
      const blobs = new Blobs({ database: { ...database, transaction }, store, clock: Date.now });
      const pusher = { by: system };
      assert.equal(await blobs.mount(parseName('b'), digest, parseName('app'), () => true, pusher), false);
    });

    test('bytes that were wrong only once are not damaged', async (t) => {
      const { client, database, store, run } = await registry(t, open);
      const digest = await client.pushBlob('app', 'a layer');
      await overwrite(store, digest, 'a lager');
      const once: BlobStore = {
        ...store,
        async read(key) {
          const opened = await store.read(key);
          await overwrite(store, digest, 'a layer');
          return opened;
        },
      };
      await run({ store: once });
      assert.equal(await countDamaged(database.read, 10), 0);
    });

    test('a blob whose bytes were restored is served again', async (t) => {
      const { client, store, found, run } = await registry(t, open);
      const digest = await client.pushBlob('app', 'a layer');
      await store.delete(keyOf(digest));
      await run();
      await overwrite(store, digest, 'a layer');
      found.length = 0;
      await run();
      assert.deepEqual(found, [`healed ${digest}`]);
      assert.equal((await client.get(`/v2/app/blobs/${digest}`)).status, 200);
    });

    test('no blob is marked in a store that does not belong to the database', async (t) => {
      const { client, database, store, run } = await registry(t, open);
      await store.delete(keyOf(await client.pushBlob('app', 'a layer')));
      let checks = 0;
      const checkStore = async (): Promise<void> => {
        checks += 1;
        if (checks === 2) throw new Error('another disk is mounted');
      };
      await assert.rejects(run({ checkStore }), /another disk is mounted/);
      assert.equal(await countDamaged(database.read, 10), 0);
    });

    test('a manifest with wrong bytes is reported with its tags', async (t) => {
      const { client, database, found, run } = await registry(t, open);
      const { digest } = await client.pushImage('app', 'v1');
      await database.transaction((db) =>
        db
          .updateTable('manifests')
          .set({ bytes: Buffer.from('{}') })
          .execute(),
      );
      await run();
      assert.deepEqual(found, [`damaged manifest ${digest} of app: app:v1`]);
      assert.equal((await findScrub(database.read)).last?.damagedManifests.length, 1);
      await client.delete(`/v2/app/manifests/${digest}`);
      await run();
      const inTrash = `damaged manifest ${digest} of app (in the trash): app@${digest} (in the trash)`;
      assert.deepEqual(found.slice(1), [inTrash]);
    });

    test('garbage collection deletes a damaged blob that no repository holds, which ends its mark', async (t) => {
      const { client, database, store, run } = await registry(t, open);
      const digest = await client.pushBlob('app', 'a layer');
      await overwrite(store, digest, 'a lager');
      await run();
      assert.equal((await client.delete(`/v2/app/blobs/${digest}`)).status, 202);
      const collected = await collectGarbage({
        ...collectionParts(database, store, 0),
        ...{ clock: Date.now, expireAfter: 60_000, grace: -1 },
      });
      assert.deepEqual([collected.blobs, await countDamaged(database.read, 10)], [1, 0]);
    });
  });
}

for (const backend of backendNames) {
  test(`${backend}: a push of the same bytes replaces those of a damaged blob`, async (t) => {
    const { settings } = await openBackend(t, backend);
    const { app, data, database } = await testRegistry(t, settings, async () => ({}));
    const store = await openStore(configSchema.parse({ data, ...settings }));
    cleanUp(t, () => store.close());
    const { client, found, run } = withScrub(new Client(app.http), database, store);
    const digest = await client.pushBlob('app', 'a layer');
    await overwrite(store, digest, 'a lager');
    await run();
    assert.deepEqual(found, [`damaged blob ${digest}: app`]);
    assertError(await client.get(`/v2/app/blobs/${digest}`), 500, 'UNKNOWN');
    await client.pushBlob('app', 'a layer');
    assert.equal((await client.get(`/v2/app/blobs/${digest}`)).body.toString(), 'a layer');
  });
}

test('a commit that finds the damaged bytes in place of its own does not heal the blob', async (t) => {
  const database = await dialects[0]!.open(t);
  const store = await openFilesystemStore(await temporaryDirectory(t));
  const { client, run } = withScrub(
    new Client((await testRegistry(t, {}, async () => ({ database, store }))).app.http),
    database,
    store,
  );
  const digest = (await client.pushBlob('app', 'a layer')) as Digest;
  await overwrite(store, digest, 'a lager');
  await run();
  // As after a failed sync, which deletes the staged file.
  const upload = {
    id: 'lost',
    size: 7,
    staged: '',
    writer: '',
    repository: 1,
    owner: '',
    name: parseName('app'),
  };
  const blobs = new Blobs({ database, store, clock: Date.now });
  await assert.rejects(blobs.commit(upload, digest, { by: system }), /are damaged too/);
  assert.equal(await countDamaged(database.read, 10), 1);
});

test('the share that was read follows from the position in the order of digests', () => {
  assert.equal(shareRead({ after: '' }), 0);
  assert.equal(shareRead({ after: digestOf('').replace(/:.{8}/, ':40000000') }), 0.25);
  assert.equal(shareRead({ after: digestOf('', 'sha512') }), 1);
  assert.equal(shareRead({ after: 7 }), 1);
});
