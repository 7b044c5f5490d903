// end-9: deletes of manifests and tags; and every delete when deletes are disabled.

import assert from 'node:assert/strict';
import test from 'node:test';
import {
  type Algorithm,
  assertError,
  connect,
  digestOf,
  indexOf,
  refer,
  serialize,
  unknownDigest,
  unknownSha512,
} from '../../test/support/inject.ts';

test('end-9: deleting a tag removes only that tag, at once', async (t) => {
  const registry = await connect(t);
  const bytes = serialize(await registry.image('a'));
  const digest = digestOf(bytes);
  for (const tag of ['v1', 'v2', 'v3']) await registry.putManifest('a', tag, bytes);

  const deleted = await registry.delete('/v2/a/manifests/v2');
  assert.equal(deleted.status, 202);
  assert.equal(deleted.body.length, 0);
  assertError(await registry.get('/v2/a/manifests/v2'), 404, 'MANIFEST_UNKNOWN');
  assert.equal((await registry.head('/v2/a/manifests/v2')).status, 404);
  assert.deepEqual(await registry.tags('a'), ['v1', 'v3']);
  for (const reference of ['v1', 'v3', digest]) {
    assert.deepEqual((await registry.get(`/v2/a/manifests/${reference}`)).body, bytes);
  }
});

test('end-9: deleting the last tag keeps the manifest', async (t) => {
  const registry = await connect(t);
  const { digest, bytes } = await registry.pushImage('a', 'v1');
  assert.equal((await registry.delete('/v2/a/manifests/v1')).status, 202);
  assert.deepEqual(await registry.tags('a'), []);
  assert.deepEqual((await registry.get(`/v2/a/manifests/${digest}`)).body, bytes);
});

test('end-9: deleting a digest removes the manifest and every tag on it, at once', async (t) => {
  for (const algorithm of ['sha256', 'sha512'] as Algorithm[]) {
    await t.test(algorithm, async (t) => {
      const registry = await connect(t);
      const other = await registry.pushImage('a', 'other');
      const image = await registry.image('a', {}, algorithm);
      const digest = digestOf(serialize(image), algorithm);
      assert.equal((await registry.putManifest('a', `${digest}?tag=v1&tag=v2`, image)).status, 201);

      const deleted = await registry.delete(`/v2/a/manifests/${digest}`);
      assert.equal(deleted.status, 202);
      assert.equal(deleted.body.length, 0);
      for (const reference of [digest, 'v1', 'v2']) {
        assertError(await registry.get(`/v2/a/manifests/${reference}`), 404, 'MANIFEST_UNKNOWN');
        assert.equal((await registry.head(`/v2/a/manifests/${reference}`)).status, 404);
      }
      assert.deepEqual(await registry.tags('a'), ['other']);
      assert.deepEqual((await registry.get('/v2/a/manifests/other')).body, other.bytes);
      const { digest: layer } = (image.layers as [{ digest: string }])[0];
      assert.equal(
        (await registry.head(`/v2/a/blobs/${layer}`)).status,
        200,
        'the delete removed the blobs too',
      );
      assert.equal(
        (await registry.putManifest('a', 'v1', image)).status,
        201,
        'the manifest cannot be pushed again',
      );
    });
  }
});

test('end-9: the manifest of an index can be deleted, and the index without its manifests', async (t) => {
  const registry = await connect(t);
  const image = await registry.pushImage('a');
  const index = await registry.pushManifest('a', indexOf([refer(image)]), 'v1');
  assert.equal((await registry.delete(`/v2/a/manifests/${image.digest}`)).status, 202);
  assert.deepEqual((await registry.get('/v2/a/manifests/v1')).body, index.bytes);
  await registry.putManifest('a', image.digest, image.bytes);
  assert.equal((await registry.delete(`/v2/a/manifests/${index.digest}`)).status, 202);
  assert.deepEqual((await registry.get(`/v2/a/manifests/${image.digest}`)).body, image.bytes);
});

test('end-9: deleting an absent manifest or tag is 404', async (t) => {
  const registry = await connect(t);
  const gone = await registry.pushImage('a', 'gone');
  await registry.delete(`/v2/a/manifests/${gone.digest}`);
  await registry.pushImage('a', 'v1');
  const elsewhere = await registry.pushImage('b', 'only-b');
  for (const reference of [
    unknownDigest,
    unknownSha512,
    gone.digest,
    'gone',
    'nothing',
    elsewhere.digest,
    'only-b',
  ]) {
    assertError(await registry.delete(`/v2/a/manifests/${reference}`), 404, 'MANIFEST_UNKNOWN');
  }
  for (const reference of ['v1', unknownDigest]) {
    assertError(await registry.delete(`/v2/nobody/manifests/${reference}`), 404, 'NAME_UNKNOWN');
  }
  assert.deepEqual(await registry.tags('b'), ['only-b']);
});

test('A11: with deletes disabled, each delete is 405 UNSUPPORTED and removes nothing', async (t) => {
  const registry = await connect(t, { deletes: { enabled: false } });
  const image = await registry.pushImage('a', 'v1');
  const blob = await registry.pushBlob('a', 'bytes');
  const paths = [
    '/v2/a/manifests/v1',
    `/v2/a/manifests/${image.digest}`,
    `/v2/a/blobs/${blob}`,
    '/v2/a/manifests/nothing',
    `/v2/a/manifests/${unknownDigest}`,
    `/v2/a/blobs/${unknownDigest}`,
    '/v2/nobody/manifests/v1',
  ];
  for (const path of paths) assertError(await registry.delete(path), 405, 'UNSUPPORTED');
  for (const path of paths.slice(0, 3)) assert.equal((await registry.get(path)).status, 200);

  // Cancelling an upload is no delete of content.
  assert.equal((await registry.delete(await registry.openUpload('a'))).status, 204);
});
