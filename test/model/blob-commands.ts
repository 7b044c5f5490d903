import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Blob, blobs } from './content.ts';
import {
  anyNamed,
  anyOf,
  command,
  create,
  existing,
  type Model,
  pick,
  type Repository,
  rarely,
} from './model.ts';
import { fitsBlob, fitsRepository } from './quotas.ts';

/** Whether a manifest of the repository needs the blob. */
function isNeeded(repository: Repository, digest: string): boolean {
  return [...repository.manifests.values()].some((manifest) => manifest.needs.includes(digest));
}

export function stored(model: Model, repository: Repository, digest: string): void {
  create(model, repository);
  repository.blobs.add(digest);
}

/** @param wrong whether the bytes do not match the digest */
export async function pushBlob(
  model: Model,
  url: string,
  { name, repository }: { readonly name: string; readonly repository: Repository },
  { bytes, digest }: Blob,
  wrong = false,
): Promise<void> {
  const body = wrong ? Buffer.concat([bytes, Buffer.from('!')]) : bytes;
  const path = `/v2/${name}/blobs/uploads/?digest=${digest}`;
  const response = await fetch(url + path, { method: 'POST', body });
  if (!fitsRepository(model, repository) || !fitsBlob(model, repository, body.length, digest))
    return assert.equal(response.status, 403);
  assert.equal(response.status, wrong ? 400 : 201);
  create(model, repository);
  if (!wrong) stored(model, repository, digest);
}

export const blobCommands = [
  command('pushBlob', fc.record({ name: anyOf, blob: anyOf, wrong: rarely }), (model, { url }, given) =>
    pushBlob(model, url, anyNamed(model, given.name), pick(blobs, given.blob), given.wrong),
  ),

  command(
    'mount',
    fc.record({ name: anyOf, from: fc.option(anyOf), blob: anyOf }),
    async (model, { url }, given) => {
      const { name, repository } = anyNamed(model, given.name);
      const source = given.from === null ? undefined : anyNamed(model, given.from);
      const blob = pick(blobs, given.blob);
      const from = source ? `&from=${source.name}` : '';
      const path = `/v2/${name}/blobs/uploads/?mount=${blob.digest}${from}`;
      const response = await fetch(url + path, { method: 'POST' });
      const sources = source ? [source.repository] : existing(model);
      const isHeld = sources.some(({ blobs }) => blobs.has(blob.digest));
      // A session needs room for one byte.
      const fits = isHeld
        ? fitsBlob(model, repository, blob.bytes.length, blob.digest)
        : fitsBlob(model, repository, 1);
      if (!fitsRepository(model, repository) || !fits) return assert.equal(response.status, 403);
      if (isHeld) {
        assert.equal(response.status, 201);
        return stored(model, repository, blob.digest);
      }
      assert.equal(response.status, 202);
      create(model, repository);
      model.uploads.push({ repository, blob, path: response.headers.get('location') as string, received: 0 });
    },
  ),

  command('getBlob', fc.record({ name: anyOf, blob: anyOf }), async (model, { url }, given) => {
    const { name, repository } = anyNamed(model, given.name);
    const { bytes, digest } = pick(blobs, given.blob);
    const held = repository.blobs.has(digest);
    const path = `${url}/v2/${name}/blobs/${digest}`;
    const head = await fetch(path, { method: 'HEAD' });
    assert.equal(head.status, held ? 200 : 404);
    if (held) assert.equal(head.headers.get('content-length'), String(bytes.length));
    const response = await fetch(path);
    assert.equal(response.status, held ? 200 : 404);
    if (held) assert.ok(bytes.equals(await response.bytes()));
    else await response.bytes();
  }),

  command('deleteBlob', fc.record({ name: anyOf, blob: anyOf }), async (model, { url }, given) => {
    const { name, repository } = anyNamed(model, given.name);
    const { digest } = pick(blobs, given.blob);
    const response = await fetch(`${url}/v2/${name}/blobs/${digest}`, { method: 'DELETE' });
    if (!repository.blobs.has(digest)) return assert.equal(response.status, 404);
    if (isNeeded(repository, digest)) return assert.equal(response.status, 405);
    assert.equal(response.status, 202);
    repository.blobs.delete(digest);
  }),
];
