// end-7b: several tags set by the push of one manifest.

import assert from 'node:assert/strict';
import test from 'node:test';
import { type Algorithm, assertError, connect, digestOf, serialize } from '../../test/support/inject.ts';

function tagged(digest: string, tags: readonly string[]): string {
  return `${digest}?${new URLSearchParams(tags.map((tag) => ['tag', tag]))}`;
}

function echoed(headers: Readonly<Record<string, string | undefined>>): string[] {
  return (headers['oci-tag'] ?? '')
    .split(/, */)
    .filter((tag) => tag !== '')
    .sort();
}

test('end-7b: every tag is set and echoed, ten of them and more', async (t) => {
  const registry = await connect(t);
  for (const algorithm of ['sha256', 'sha512'] as Algorithm[]) {
    for (const count of [1, 2, 10, 16]) {
      await t.test(`${count}, ${algorithm}`, async () => {
        const tags = Array.from({ length: count }, (_, i) => `${algorithm}-${count}-${i}`).sort();
        const bytes = serialize(await registry.image('a', {}, algorithm));
        const digest = digestOf(bytes, algorithm);
        const put = await registry.putManifest('a', tagged(digest, tags), bytes);
        assert.equal(put.status, 201, put.body.toString());
        assert.deepEqual(echoed(put.headers), tags);
        assert.equal(put.headers['docker-content-digest'], digest);
        assert.equal(put.headers.location, `/v2/a/manifests/${digest}`);
        for (const tag of tags) {
          const got = await registry.get(`/v2/a/manifests/${tag}`);
          assert.equal(got.status, 200);
          assert.deepEqual(got.body, bytes);
          // The digest of the push, in its algorithm.
          assert.equal(got.headers['docker-content-digest'], digest);
          assert.equal(
            (await registry.head(`/v2/a/manifests/${tag}`)).headers['docker-content-digest'],
            digest,
          );
        }
      });
    }
  }
});

test('end-7b: the tag parameters move tags', async (t) => {
  const registry = await connect(t);
  const first = await registry.pushImage('a', 'v1');
  const bytes = serialize(await registry.image('a'));
  const put = await registry.putManifest('a', tagged(digestOf(bytes), ['v1', 'v2']), bytes);
  assert.deepEqual(echoed(put.headers), ['v1', 'v2']);
  assert.deepEqual((await registry.get('/v2/a/manifests/v1')).body, bytes);
  assert.deepEqual((await registry.get(`/v2/a/manifests/${first.digest}`)).body, first.bytes);
});

test('end-7b: a tag named twice is one tag', async (t) => {
  const registry = await connect(t);
  const bytes = serialize(await registry.image('a'));
  const put = await registry.putManifest('a', tagged(digestOf(bytes), ['v1', 'v1']), bytes);
  assert.equal(put.status, 201);
  assert.deepEqual(echoed(put.headers), ['v1']);
  assert.deepEqual(await registry.tags('a'), ['v1']);
});

test('end-7b: without tag parameters nothing is echoed', async (t) => {
  const registry = await connect(t);
  const bytes = serialize(await registry.image('a'));
  for (const reference of [digestOf(bytes), 'v1']) {
    assert.equal((await registry.putManifest('a', reference, bytes)).headers['oci-tag'], undefined);
  }
});

test('end-7b: one invalid tag refuses all tags and the manifest', async (t) => {
  const registry = await connect(t);
  await registry.pushImage('a', 'v0');
  const bytes = serialize(await registry.image('a'));
  for (const tag of [
    '',
    '-v',
    '.v',
    'v/1',
    'v 1',
    'v,1',
    'v\r\nx: y',
    'v\u4e2d',
    'x'.repeat(129),
    digestOf(bytes),
  ]) {
    const put = await registry.putManifest('a', tagged(digestOf(bytes), ['v1', tag]), bytes);
    assertError(put, 400, 'TAG_INVALID');
  }
  assertError(await registry.get(`/v2/a/manifests/${digestOf(bytes)}`), 404, 'MANIFEST_UNKNOWN');
  assert.deepEqual(await registry.tags('a'), ['v0']);
});

test('end-7b: too many tags are 414, and none is set', async (t) => {
  const registry = await connect(t);
  await registry.pushImage('a', 'v0');
  const bytes = serialize(await registry.image('a'));
  const tags = Array.from({ length: 500 }, (_, i) => `t${i}`);
  const put = await registry.putManifest('a', tagged(digestOf(bytes), tags), bytes);
  assertError(put, 414, 'TOO_MANY_TAGS');
  assertError(await registry.get(`/v2/a/manifests/${digestOf(bytes)}`), 404, 'MANIFEST_UNKNOWN');
  assert.deepEqual(await registry.tags('a'), ['v0']);
});

test('end-7b: a push with a wrong digest sets no tag', async (t) => {
  const registry = await connect(t);
  await registry.pushImage('a', 'v0');
  const bytes = serialize(await registry.image('a'));
  const put = await registry.putManifest('a', tagged(digestOf(`${bytes} `), ['v1']), bytes);
  assertError(put, 400, 'DIGEST_INVALID');
  assert.deepEqual(await registry.tags('a'), ['v0']);
});
