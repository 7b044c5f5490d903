import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Digest } from '../oci/digest.ts';
import { type ManifestCache, manifestCache, type StoredManifest } from './manifest-cache.ts';

const mebibyte = 1 << 20;

function manifest(size = mebibyte): StoredManifest {
  return { id: 1, digest: `sha256:${'a'.repeat(64)}` as Digest, mediaType: 'a/b', bytes: Buffer.alloc(size) };
}

function held(cache: ManifestCache, ids: number): number[] {
  return Array.from({ length: ids }, (_, id) => id).filter((id) => cache.get(id) !== undefined);
}

test('returns a cached manifest by its id', () => {
  const cache = manifestCache();
  const one = manifest(10);
  cache.set(1, one);
  assert.equal(cache.get(1), one);
  assert.equal(cache.get(2), undefined);
});

test('keeps the newest 64 MiB', () => {
  const cache = manifestCache();
  for (let id = 0; id < 100; id++) cache.set(id, manifest());
  const ids = held(cache, 100);
  assert.equal(ids.length, 63);
  assert.equal(ids[0], 37);
});

test('evicts the least recently used manifest', () => {
  const cache = manifestCache();
  for (let id = 0; id < 60; id++) cache.set(id, manifest());
  for (let id = 60; id < 200; id++) {
    assert.ok(cache.get(0), `gone after ${id}`);
    cache.set(id, manifest());
  }
  assert.equal(cache.get(1), undefined);
});

test('a read counts as a use even while the cache is not full', () => {
  const cache = manifestCache();
  for (let id = 0; id < 10; id++) cache.set(id, manifest());
  assert.ok(cache.get(0));
  for (let id = 10; id < 64; id++) cache.set(id, manifest());
  assert.deepEqual(held(cache, 3), [0, 2]);
});

test('small manifests count with an overhead, which bounds their number', () => {
  const cache = manifestCache();
  const empty = manifest(0);
  for (let id = 0; id < 200_000; id++) cache.set(id, empty);
  assert.ok(cache.get(199_999));
  assert.equal(cache.get(0), undefined);
});

test('an id that is set again counts once', () => {
  const cache = manifestCache();
  for (let i = 0; i < 100; i++) cache.set(1, manifest());
  cache.set(2, manifest());
  assert.deepEqual(held(cache, 3), [1, 2]);
});

test('a manifest larger than the cache is not kept', () => {
  const cache = manifestCache();
  cache.set(1, manifest(65 * mebibyte));
  assert.equal(cache.get(1), undefined);
  cache.set(2, manifest());
  assert.ok(cache.get(2));
});
