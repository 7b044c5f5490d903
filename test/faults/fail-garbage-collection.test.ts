import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { openSqlite } from '../../src/db/sqlite/sqlite.ts';
import { collectGarbage, type GarbageCollectionParts } from '../../src/jobs/collect-garbage.ts';
import { openFilesystemStore } from '../../src/storage/filesystem.ts';
import { collectionParts } from '../support/garbage.ts';
import { testRegistry } from '../support/registry.ts';
import { send } from './client.ts';
import { blobFile, digestOf, examine, filesBelow } from './consistency.ts';
import { failingDatabase } from './failing-database.ts';
import { failingStore } from './failing-store.ts';
import { Faults } from './faults.ts';

const day = 24 * 3_600_000;

for (const moment of ['before', 'after'] as const) {
  test(`a garbage collection in which any call fails ${moment} its work deletes nothing held, and the next one completes it`, async (t) => {
    const faults = new Faults();
    let parts: GarbageCollectionParts | undefined;
    const { app, data } = await testRegistry(t, {}, async (data) => {
      const database = failingDatabase(await openSqlite(join(data, 'berth.db')), faults);
      const store = failingStore(await openFilesystemStore(data), faults);
      const clock = () => Date.now() + day;
      parts = { ...collectionParts(database, store), clock, expireAfter: 1_000, grace: 1_000 };
      return { database, store };
    });
    const { url } = await app.listen();
    const push = async (content: string): Promise<string> => {
      const digest = digestOf(Buffer.from(content));
      const path = `/v2/a/blobs/uploads/?digest=${digest}`;
      await send(url, { method: 'POST', url: path, body: Buffer.from(content), ok: 201 });
      return digest;
    };
    const held = await push('{}');
    const descriptor = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: held, size: 2 };
    const mediaType = 'application/vnd.oci.image.manifest.v1+json';
    const image = { schemaVersion: 2, mediaType, config: descriptor, layers: [] };
    const headers = { 'content-type': mediaType };
    await send(url, {
      method: 'PUT',
      url: '/v2/a/manifests/v1',
      headers,
      body: Buffer.from(JSON.stringify(image)),
      ok: 201,
    });
    let at = 0;
    for (let hit: string | undefined = 'first'; hit !== undefined; hit = faults.hit) {
      at += 1;
      const unheld = await push(`unheld ${at}`);
      await send(url, { method: 'DELETE', url: `/v2/a/blobs/${unheld}`, ok: 202 });
      const session = await send(url, { method: 'POST', url: '/v2/a/blobs/uploads/', ok: 202 });
      const location = session.headers.get('location') as string;
      await send(url, { method: 'PATCH', url: location, body: Buffer.from('never ended'), ok: 202 });
      await writeFile(join(data, 'uploads', `orphan-${at}`), 'no session');

      faults.arm({ at, code: 'EIO', moment });
      await collectGarbage(parts as GarbageCollectionParts).catch((error: Error) =>
        assert.match(error.message, /injected/),
      );
      faults.disarm();
      assert.deepEqual(examine(data).problems, []);

      await collectGarbage(parts as GarbageCollectionParts);
      assert.deepEqual(filesBelow(join(data, 'uploads')), [], `call ${at}, ${faults.hit}`);
      assert.deepEqual(examine(data).orphanBlobs, [], `call ${at}, ${faults.hit}`);
      assert.deepEqual(
        filesBelow(join(data, 'docker')).map((path) => join(data, 'docker', path)),
        [blobFile(data, held)],
      );
      await send(url, { method: 'GET', url: `/v2/a/blobs/${held}`, ok: 200 });
    }
    t.diagnostic(`${at - 1} calls failed, one at a time`);
    assert.ok(at > 5);
  });
}
