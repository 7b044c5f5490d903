import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Digest } from '../oci/digest.ts';
import { ManifestCache, type StoredManifest } from './manifest-cache.ts';

const mebibyte = 1 << 20;

function manifest(size = mebibyte): StoredManifest {
  return { digest: `sha256:${'a'.repeat(64)}` as Digest, mediaType: 'a/b', bytes: Buffer.alloc(size) };
}

function held(cache: ManifestCache, ids: number): number[] {
  return Array.from({ length: ids }, (_, id) => id).filter((id) => cache.get(id) !== undefined);
}

test('what was put in is got, by its id', () => {
  const cache = new ManifestCache();
  const one = manifest(10);
  cache.set(1, one);
  assert.equal(cache.get(1), one);
  assert.equal(cache.get(2), undefined);
});

test('the cache holds at most 64 MiB, the newest', () => {
  const cache = new ManifestCache();
  for (let id = 0; id < 100; id++) cache.set(id, manifest());
  const ids = held(cache, 100);
  assert.equal(ids.length, 63);
  assert.equal(ids[0], 37);
});

test('what is asked for stays, what nobody asks for goes', () => {
  const cache = new ManifestCache();
  for (let id = 0; id < 60; id++) cache.set(id, manifest());
  for (let id = 60; id < 200; id++) {
    assert.ok(cache.get(0), `gone after ${id}`);
    cache.set(id, manifest());
  }
  assert.equal(cache.get(1), undefined);
});

test('small manifests count more than their bytes, so that their number is bounded too', () => {
  const cache = new ManifestCache();
  const empty = manifest(0);
  for (let id = 0; id < 200_000; id++) cache.set(id, empty);
  assert.ok(cache.get(199_999));
  assert.equal(cache.get(0), undefined);
});

test('the same id again is not counted again', () => {
  const cache = new ManifestCache();
  for (let i = 0; i < 100; i++) cache.set(1, manifest());
  cache.set(2, manifest());
  assert.deepEqual(held(cache, 3), [1, 2]);
});

test('one manifest larger than the whole cache is not kept', () => {
  const cache = new ManifestCache();
  cache.set(1, manifest(65 * mebibyte));
  assert.equal(cache.get(1), undefined);
  cache.set(2, manifest());
  assert.ok(cache.get(2));
});
