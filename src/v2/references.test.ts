// end-7a and 2.4: the references of a manifest.

import assert from 'node:assert/strict';
import test from 'node:test';
import {
  assertError,
  connect,
  describe,
  digestOf,
  dockerManifestList,
  imageOf,
  indexOf,
  ociLayer,
  ociManifest,
  refer,
  unknownDigest,
  unknownSha512,
} from '../../test/support/inject.ts';

test('end-7a: missing blobs are 400 MANIFEST_BLOB_UNKNOWN, each named', async (t) => {
  const registry = await connect(t);
  const config = await registry.pushContent('a', '{}');
  const layer = await registry.pushContent('a', 'a layer');
  const first = describe('missing 1', ociLayer);
  const second = describe('missing 2', ociLayer, digestOf('missing 2', 'sha512'));
  const rows = [
    { what: 'a layer', document: imageOf(config, [layer, first]), missing: [first] },
    { what: 'two layers', document: imageOf(config, [first, layer, second]), missing: [first, second] },
    { what: 'the config', document: imageOf(first, [layer]), missing: [first] },
    { what: 'all', document: imageOf(first, [second]), missing: [first, second] },
  ];
  for (const { what, document, missing } of rows) {
    await t.test(what, async () => {
      const answer = await registry.putManifest('a', 'v1', document);
      assertError(answer, 400, 'MANIFEST_BLOB_UNKNOWN');
      const details = JSON.stringify(
        answer.json<{ errors: { detail: unknown }[] }>().errors.map(({ detail }) => detail),
      );
      for (const { digest } of missing)
        assert.ok(details.includes(digest), `${digest} is not named in ${details}`);
      assert.ok(!details.includes(layer.digest), 'names a layer that is present');
      assert.equal((await registry.head('/v2/a/manifests/v1')).status, 404);
    });
  }
});

test('A5: a blob of another repository counts as missing, and a manifest does not copy it', async (t) => {
  const registry = await connect(t);
  const config = await registry.pushContent('b', '{}');
  const theirs = await registry.pushContent('a', 'private to a');
  const refused = await registry.putManifest('b', 'v1', imageOf(config, [theirs]));
  assertError(refused, 400, 'MANIFEST_BLOB_UNKNOWN');
  const nowhere = await registry.putManifest(
    'b',
    'v1',
    imageOf(config, [{ ...theirs, digest: unknownDigest }]),
  );
  const blank = (text: string) => text.replaceAll(theirs.digest, '').replaceAll(unknownDigest, '');
  assert.equal(blank(refused.body.toString()), blank(nowhere.body.toString()));
  assertError(await registry.get(`/v2/b/blobs/${theirs.digest}`), 404, 'BLOB_UNKNOWN');
});

test('A5: naming a blob as an index entry or a non-distributable layer does not copy it', async (t) => {
  const registry = await connect(t);
  const config = await registry.pushContent('b', '{}');
  const theirs = await registry.pushContent('a', 'private to a');
  const hidden = { ...theirs, mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar' };
  await registry.pushManifest('b', imageOf(config, [hidden]), 'v1');
  await registry.pushManifest('b', indexOf([theirs]), 'v2');
  await registry.pushManifest('b', imageOf(config, [], { subject: theirs }), 'v3');
  assertError(await registry.get(`/v2/b/blobs/${theirs.digest}`), 404, 'BLOB_UNKNOWN');
});

test('end-7a: non-distributable layers may be missing', async (t) => {
  const registry = await connect(t);
  const config = await registry.pushContent('a', '{}');
  for (const mediaType of [
    'application/vnd.oci.image.layer.nondistributable.v1.tar',
    'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
    'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd',
    'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
  ]) {
    const layer = { mediaType, digest: unknownDigest, size: 123, urls: ['https://example.com/layer'] };
    await registry.pushManifest('a', imageOf(config, [layer]), 'v1');
  }
});

test('end-7a: an index may be sparse by default', async (t) => {
  const registry = await connect(t);
  const here = refer(await registry.pushImage('a'));
  const missing = { mediaType: ociManifest, digest: unknownDigest, size: 100 };
  await registry.pushManifest('a', indexOf([here, missing]), 'v1');
  await registry.pushManifest('a', indexOf([missing], { mediaType: dockerManifestList }), 'v2');
  assertError(await registry.get(`/v2/a/manifests/${unknownDigest}`), 404, 'MANIFEST_UNKNOWN');
});

test('end-7a: with sparse indexes disabled, every child must be present', async (t) => {
  const registry = await connect(t, { manifests: { missingReferences: 'none' } });
  const here = refer(await registry.pushImage('a'));
  const elsewhere = refer(await registry.pushImage('b'));
  const nested = refer(await registry.pushManifest('a', indexOf([here])));
  await registry.pushManifest('a', indexOf([here, nested]), 'v1');
  for (const digest of [unknownDigest, unknownSha512, elsewhere.digest]) {
    const answer = await registry.putManifest('a', 'v2', indexOf([here, { ...here, digest }]));
    assertError(answer, 400, 'MANIFEST_BLOB_UNKNOWN');
    assert.ok(answer.body.toString().includes(digest));
  }
});

test('end-7a: an image may lack blobs only if configured', async (t) => {
  const registry = await connect(t, { manifests: { missingReferences: 'all' } });
  const missing = describe('missing', ociLayer);
  const theirs = await registry.pushContent('b', 'private to b');
  await registry.pushManifest('a', imageOf(missing, [missing, theirs]), 'v1');
  // The repository does not hold a blob that a manifest only names.
  for (const { digest } of [missing, theirs]) {
    assertError(await registry.get(`/v2/a/blobs/${digest}`), 404, 'BLOB_UNKNOWN');
    assertError(await registry.delete(`/v2/a/blobs/${digest}`), 404, 'BLOB_UNKNOWN');
  }
});

test('2.4: layers listed by a BuildKit cache index count as present', async (t) => {
  const registry = await connect(t, { manifests: { missingReferences: 'none' } });
  const layer = await registry.pushContent('a', 'a cached layer');
  const config = await registry.pushContent('a', '{}', 'application/vnd.buildkit.cacheconfig.v0');
  await registry.pushManifest('a', indexOf([layer, config]), 'cache');
});

test('end-7a: a push with a subject is answered with OCI-Subject, also when the subject is missing', async (t) => {
  const registry = await connect(t);
  const subject = refer(await registry.pushImage('a'));
  const missing = { mediaType: ociManifest, digest: unknownDigest, size: 100 };
  const sha512 = { mediaType: ociManifest, digest: unknownSha512, size: 100 };
  const config = await registry.pushContent('a', '{}');
  for (const descriptor of [subject, missing, sha512]) {
    for (const document of [
      imageOf(config, [], { subject: descriptor }),
      indexOf([], { subject: descriptor }),
    ]) {
      const byDigest = await registry.putManifest('a', digestOf(JSON.stringify(document)), document);
      const byTag = await registry.putManifest('a', 'v1', document);
      for (const answer of [byDigest, byTag]) {
        assert.equal(answer.status, 201, answer.body.toString());
        assert.equal(answer.headers['oci-subject'], descriptor.digest);
      }
    }
  }
  const without = await registry.putManifest('a', 'v1', imageOf(config, []));
  assert.equal(without.headers['oci-subject'], undefined);
});
