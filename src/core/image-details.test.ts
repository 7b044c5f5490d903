import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { insertTags } from '../../test/support/crowd.ts';
import { dialects, type TestDialect } from '../../test/support/databases.ts';
import { openMemoryStore } from '../../test/support/memory-store.ts';
import { linkBlob } from '../db/blob-links.ts';
import { recordStored } from '../db/blobs.ts';
import { system } from '../db/changes.ts';
import { findOrCreateRepository } from '../db/repositories.ts';
import type { Digest } from '../oci/digest.ts';
import { ociImageIndex, ociImageManifest } from '../oci/media-types.ts';
import { parseName } from '../oci/name.ts';
import { parseReference } from '../oci/reference.ts';
import { blobKey } from '../storage/blob-store.ts';
import { describeImage } from './image-details.ts';
import { Manifests } from './manifests.ts';
import { digestBytes } from './running-hash.ts';
import { listTagDetails } from './tag-details.ts';

const app = parseName('acme/app');
const ociConfig = 'application/vnd.oci.image.config.v1+json';

async function makeWorld(t: TestContext, { open }: TestDialect) {
  const database = await open(t);
  const { clock } = database;
  const store = openMemoryStore();
  const manifests = new Manifests({ database, clock, missingReferences: 'all', immutableTags: [] });
  /** Stores a blob, with `size` in its row, and returns its descriptor. */
  const pushBlob = async (mediaType: string, bytes: Buffer, size = bytes.length) => {
    const digest = digestBytes('sha256', bytes);
    const upload = { id: digest, staged: '', size: 0 };
    await store.append(upload, Readable.from([bytes]), { tap() {} } as Parameters<typeof store.append>[2]);
    await store.commit({ ...upload, size: bytes.length }, blobKey(digest, 0));
    await database.transaction(async (db) => {
      await recordStored(db, { digest, size, generation: 0 }, 1);
      await linkBlob(db, await findOrCreateRepository(db, app, 1), digest, 1);
    });
    return { mediaType, digest, size };
  };
  const push = async (reference: string, content: object) => {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, ...content }));
    const { digest } = await manifests.put(app, parseReference(reference), {
      ...{ contentType: undefined, bytes, tags: [], conditions: {} },
      ...{ rights: { mayCreate: true, mayUpdate: true }, by: system },
    });
    return { digest, size: bytes.length };
  };
  const describe = (reference: string) =>
    describeImage({ read: database.read, store }, app, parseReference(reference));
  const list = () => listTagDetails({ read: database.read, store }, app, { last: '', n: 10 });
  return { database, pushBlob, push, describe, list };
}

for (const dialect of dialects) {
  const { name } = dialect;

  test(`${name}: shows an image with its config's platform, layers, annotations, tags and referrers`, async (t) => {
    const { pushBlob, push, describe, list } = await makeWorld(t, dialect);
    const content = { os: 'linux', architecture: 'arm', variant: 'v7' };
    const config = await pushBlob(ociConfig, Buffer.from(JSON.stringify(content)));
    const layer = await pushBlob('a/layer', Buffer.from('layer'));
    const foreign = { mediaType: 'a/b.nondistributable.c', digest: config.digest, size: 9 };
    const image = { mediaType: ociImageManifest, config, layers: [layer, foreign], annotations: { a: 'é' } };
    const { digest, size } = await push('v1', image);
    await push('latest', image);
    const subject = { mediaType: ociImageManifest, digest, size };
    const signature = { mediaType: ociImageManifest, config, layers: [], subject, artifactType: 'a/sig' };
    const signed = await push('sig', signature);
    assert.deepEqual(await describe('v1'), {
      ...{ digest, mediaType: ociImageManifest, artifactType: ociConfig, platforms: ['linux/arm/v7'] },
      ...{
        size: config.size + layer.size,
        config,
        layers: [layer, foreign],
        manifests: [],
        subject: undefined,
      },
      ...{ annotations: { a: 'é' }, pulledAt: undefined, tags: ['latest', 'v1'] },
      referrers: [{ mediaType: ociImageManifest, ...signed, artifactType: 'a/sig' }],
      more: { tags: false, referrers: false },
    });
    const listed = (await list()).items.map(({ tag, platforms }) => [tag, platforms]);
    assert.deepEqual(
      listed,
      ['latest', 'sig', 'v1'].map((tag) => [tag, ['linux/arm/v7']]),
    );
    assert.deepEqual((await describe(digest)).tags, ['latest', 'v1']);
    assert.deepEqual((await describe('sig')).subject, subject);
  });

  test(`${name}: shows an index with the platforms of its entries, and at most 100 tags`, async (t) => {
    const { database, push, describe } = await makeWorld(t, dialect);
    const child = {
      mediaType: ociImageManifest,
      digest: digestBytes('sha256', Buffer.from('child')),
      size: 1,
    };
    const platform = { os: 'linux', architecture: 'amd64' };
    const { digest } = await push('v1', { mediaType: ociImageIndex, manifests: [{ ...child, platform }] });
    await insertTags(database, { repository: app, digest }, 100);
    const shown = await describe('v1');
    assert.deepEqual(shown.manifests, [{ ...child, platform: 'linux/amd64' }]);
    assert.deepEqual([shown.platforms, shown.config, shown.layers], [['linux/amd64'], undefined, []]);
    assert.deepEqual([shown.tags.length, shown.more.tags], [100, true]);
  });

  test(`${name}: shows no platform if the config is missing, not JSON, too large, of another type or of another size`, async (t) => {
    const { pushBlob, push, describe } = await makeWorld(t, dialect);
    const text = (unique: string) =>
      Buffer.from(JSON.stringify({ os: 'linux', architecture: 'amd64', unique }));
    const good = await pushBlob(ociConfig, text('good'));
    const configs = {
      missing: { ...good, digest: digestBytes('sha256', Buffer.from('missing')) as Digest },
      json: await pushBlob(ociConfig, Buffer.from('not json')),
      null: await pushBlob(ociConfig, Buffer.from('null')),
      large: await pushBlob(ociConfig, Buffer.concat([text('large'), Buffer.alloc(4 << 20, ' ')])),
      type: await pushBlob('a/b', text('type')),
      size: await pushBlob(ociConfig, text('size'), 7),
    };
    await push('good', { mediaType: ociImageManifest, config: good, layers: [] });
    assert.deepEqual((await describe('good')).platforms, ['linux/amd64']);
    for (const [tag, config] of Object.entries(configs)) {
      await push(tag, { mediaType: ociImageManifest, config, layers: [] });
      assert.deepEqual((await describe(tag)).platforms, [], tag);
    }
  });

  test(`${name}: an unknown image is an error`, async (t) => {
    const { push, describe } = await makeWorld(t, dialect);
    await assert.rejects(describe('v1'), { code: 'MANIFEST_UNKNOWN' });
    await push('v2', { mediaType: ociImageIndex, manifests: [] });
    await assert.rejects(describe('v1'), { code: 'MANIFEST_UNKNOWN' });
  });
}
