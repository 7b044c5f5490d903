import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { countQueries } from '../../test/support/count-queries.ts';
import { digestsOf, insertBlobs, insertTags } from '../../test/support/crowd.ts';
import { dialects, makeRepository, type TestDialect } from '../../test/support/databases.ts';
import { openMemoryStore } from '../../test/support/memory-store.ts';
import { system } from '../db/changes.ts';
import { findManifestByDigest } from '../db/manifests.ts';
import { addPulls } from '../db/pulls.ts';
import type { Digest } from '../oci/digest.ts';
import { ociImageIndex, ociImageManifest } from '../oci/media-types.ts';
import { parseName } from '../oci/name.ts';
import { parseReference } from '../oci/reference.ts';
import { imageSizes } from './image-sizes.ts';
import { Manifests } from './manifests.ts';
import { digestBytes } from './running-hash.ts';
import { listTagDetails } from './tag-details.ts';

const app = parseName('acme/app');
/** No config is read here; `image-details.test.ts` has images with platforms. */
const store = openMemoryStore();
/** Each has one byte. */
const [config, base, amd, arm] = digestsOf('blob', 4);

function describe(digest: string | undefined, platform?: object) {
  return { mediaType: 'a/b', digest, size: 1, platform };
}

function document(content: object) {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, ...content }));
  return { bytes, digest: digestBytes('sha256', bytes) };
}

const [amdImage, armImage] = [amd, arm].map((layer) =>
  document({
    mediaType: ociImageManifest,
    config: describe(config),
    layers: [base, layer].map((one) => describe(one)),
  }),
) as [ReturnType<typeof document>, ReturnType<typeof document>];
const inner = document({
  mediaType: ociImageIndex,
  manifests: [describe(armImage.digest, { os: 'linux', architecture: 'arm64' })],
});
const index = document({
  mediaType: ociImageIndex,
  manifests: [
    describe(amdImage.digest, { os: 'linux', architecture: 'amd64' }),
    describe(inner.digest, { os: 'linux', architecture: 'arm64' }),
    describe(amdImage.digest, { os: 'linux', architecture: 'amd64' }),
    describe(armImage.digest, { os: 'unknown', architecture: 'unknown' }),
    describe(digestsOf('missing', 1)[0]),
  ],
});

async function makeWorld(t: TestContext, { open }: TestDialect) {
  const database = await open(t);
  let time = 0;
  const manifests = new Manifests({
    database,
    clock: () => ++time,
    missingReferences: 'children',
    immutableTags: [],
  });
  const push = (reference: string, { bytes }: { bytes: Buffer }, actor_name = 'alice') =>
    manifests.put(app, parseReference(reference), {
      ...{ contentType: undefined, bytes, tags: [], conditions: {} },
      ...{ rights: { mayCreate: true, mayUpdate: true }, by: { ...system, actor: 'user:7', actor_name } },
    });
  await insertBlobs(database, app, [config, base, amd, arm] as Digest[]);
  for (const manifest of [amdImage, armImage, inner, index]) await push(manifest.digest, manifest);
  const list = async (last = '', n = 100) => listTagDetails({ read: database.read, store }, app, { last, n });
  return { database, push, list };
}

for (const dialect of dialects) {
  const { name } = dialect;

  test(`${name}: lists tags with digest, platforms, bytes of distinct blobs, and the push that set them`, async (t) => {
    const { database, push, list } = await makeWorld(t, dialect);
    await push('v1', amdImage);
    await push('multi', index, '');
    // Moves no tag.
    await push('v1', amdImage, 'bob');
    const pulled = await findManifestByDigest(database.read, app, amdImage.digest);
    await database.transaction((db) => addPulls(db, [[pulled!.id, 1]], 7));
    const { items, more } = await list();
    const byAlice = { pushedAt: 5, pushedBy: 'alice', pulledAt: 7 };
    assert.deepEqual(items, [
      {
        ...{ tag: 'multi', digest: index.digest, mediaType: ociImageIndex, size: 4 },
        ...{ platforms: ['linux/amd64', 'linux/arm64'], pushedAt: 6, pushedBy: 'user:7' },
        // Its child was pulled.
        pulledAt: 7,
      },
      { tag: 'v1', digest: amdImage.digest, mediaType: ociImageManifest, size: 3, platforms: [], ...byAlice },
    ]);
    assert.equal(more, false);
  });

  test(`${name}: lists the time of the last push, and no account, if the move is no longer recorded`, async (t) => {
    const { database, push, list } = await makeWorld(t, dialect);
    await push('v1', amdImage);
    await database.transaction((db) => db.deleteFrom('changes').execute());
    await push('v1', amdImage, 'bob');
    const { pushedAt, pushedBy } = (await list()).items[0]!;
    assert.deepEqual([pushedAt, pushedBy], [6, undefined]);
  });

  test(`${name}: lists tags in pages, each in few queries`, async (t) => {
    const { database, push, list } = await makeWorld(t, dialect);
    await push('first', index);
    await insertTags(database, { repository: app, digest: index.digest }, 120);
    const queries = await countQueries(() => list('', 100));
    assert.ok(queries <= 10, `${queries} queries`);
    const first = await list('', 100);
    const second = await list(first.items.at(-1)?.tag, 100);
    assert.deepEqual(
      [first.items.length, first.more, second.items.length, second.more],
      [100, true, 21, false],
    );
    const tags = [...first.items, ...second.items].map(({ tag }) => tag);
    assert.deepEqual(tags, tags.toSorted());
    assert.ok(first.items.every(({ size }) => size === 4));
  });

  test(`${name}: an empty repository has no tags, and an unknown one is an error`, async (t) => {
    const database = await dialect.open(t);
    await makeRepository(database, app);
    assert.deepEqual(await listTagDetails({ read: database.read, store }, app, { last: '', n: 5 }), {
      items: [],
      more: false,
    });
    await assert.rejects(
      listTagDetails({ read: database.read, store }, parseName('acme/no'), { last: '', n: 5 }),
      {
        ...{ code: 'NAME_UNKNOWN', message: 'there is no repository acme/no' },
      },
    );
  });

  test(`${name}: the size is unknown for the images whose references are not all read within the limit`, async (t) => {
    const { database } = await makeWorld(t, dialect);
    const rowOf = async ({ digest }: { digest: Digest }) =>
      (await findManifestByDigest(database.read, app, digest))!;
    const [image, whole] = [await rowOf(amdImage), await rowOf(index)];
    const sizes = async (limit?: number) => {
      const found = await imageSizes(database.read, image.repository_id, [image.id, whole.id], limit);
      return [found.get(image.id), found.get(whole.id)];
    };
    assert.deepEqual(await sizes(), [3, 4]);
    // The image has 3 references, the index 4, its children 4 more.
    assert.deepEqual(await sizes(7), [3, undefined]);
    assert.deepEqual(await sizes(6), [undefined, undefined]);
  });
}
