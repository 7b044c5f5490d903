import assert from 'node:assert/strict';
import fc from 'fast-check';
import { digestOf } from '../faults/consistency.ts';
import { stored } from './blob-commands.ts';
import { blobs, repositories } from './content.ts';
import { anyNamed, anyOf, command, create, type Model, named, pick, type Upload } from './model.ts';
import { fitsBlob, fitsRepository } from './quotas.ts';

const hasUpload = (model: Model): boolean => model.uploads.length > 0;

/** Inclusive; `0-0` stands for no bytes and for one byte. */
function rangeOf({ received }: Upload): string {
  return `0-${Math.max(received - 1, 0)}`;
}

function forget(model: Model, upload: Upload): void {
  model.uploads.splice(model.uploads.indexOf(upload), 1);
}

/** The session's URL as it was given, or under the new name of its repository if the former name has ceased to work. */
export function pathOf(model: Model, { path, repository }: Upload): string {
  const [, name] = /^\/v2\/(.+)\/blobs\//.exec(path) as unknown as [string, string];
  return named(model, name) === repository ? path : path.replace(`/v2/${name}/`, `/v2/${repository.name}/`);
}

export const uploadCommands = [
  command('startUpload', fc.record({ name: anyOf, blob: anyOf }), async (model, { url }, given) => {
    const { name, repository } = anyNamed(model, given.name);
    const response = await fetch(`${url}/v2/${name}/blobs/uploads/`, { method: 'POST' });
    if (!fitsRepository(model, repository) || !fitsBlob(model, repository, 1))
      return assert.equal(response.status, 403);
    assert.equal(response.status, 202);
    create(model, repository);
    const path = response.headers.get('location') as string;
    model.uploads.push({ repository, path, blob: pick(blobs, given.blob), received: 0 });
  }),

  command(
    'patchUpload',
    fc.record({
      upload: anyOf,
      size: fc.constantFrom(0, 1, 400, 50_000),
      range: fc.constantFrom('none', 'next', 'gap'),
    }),
    async (model, { url }, given) => {
      const upload = pick(model.uploads, given.upload);
      const body = upload.blob.bytes.subarray(upload.received, upload.received + given.size);
      const first = upload.received + (given.range === 'gap' ? 1 : 0);
      // An empty chunk has no range, as a range contains its last byte.
      const ranged = given.range !== 'none' && body.length > 0;
      const headers: Record<string, string> = ranged
        ? { 'content-range': `${first}-${first + body.length - 1}` }
        : {};
      const response = await fetch(url + pathOf(model, upload), { method: 'PATCH', headers, body });
      const refused = ranged && given.range === 'gap';
      assert.equal(response.status, refused ? 416 : 202);
      if (!refused) upload.received += body.length;
      assert.equal(response.headers.get('range'), rangeOf(upload));
    },
    hasUpload,
  ),

  command(
    'getUpload',
    fc.record({ upload: anyOf, foreign: fc.boolean() }),
    async (model, { url }, given) => {
      const upload = pick(model.uploads, given.upload);
      const stranger = repositories.find((name) => named(model, name) !== upload.repository);
      const path = given.foreign
        ? upload.path.replace(/^\/v2\/.+\/blobs\//, `/v2/${stranger}/blobs/`)
        : pathOf(model, upload);
      const response = await fetch(url + path);
      assert.equal(response.status, given.foreign ? 404 : 204);
      if (!given.foreign) assert.equal(response.headers.get('range'), rangeOf(upload));
    },
    hasUpload,
  ),

  command(
    'finishUpload',
    fc.record({ upload: anyOf, rest: fc.boolean(), algorithm: fc.constantFrom('sha256', 'sha512') }),
    async (model, { url }, given) => {
      const upload = pick(model.uploads, given.upload);
      const { blob, repository, received } = upload;
      const body = blob.bytes.subarray(received);
      const digest = digestOf(blob.bytes, given.algorithm);
      const response = await fetch(`${url}${pathOf(model, upload)}?digest=${digest}`, {
        method: 'PUT',
        ...(given.rest && { body }),
      });
      const whole = given.rest || body.length === 0;
      // A wrong digest ends the session.
      forget(model, upload);
      // What does not fit ends the session too.
      if (whole && !fitsBlob(model, repository, blob.bytes.length, digest))
        return assert.equal(response.status, 403);
      assert.equal(response.status, whole ? 201 : 400);
      if (whole) stored(model, repository, digest);
    },
    hasUpload,
  ),

  command(
    'cancelUpload',
    anyOf,
    async (model, { url }, number) => {
      const upload = pick(model.uploads, number);
      assert.equal((await fetch(url + pathOf(model, upload), { method: 'DELETE' })).status, 204);
      assert.equal((await fetch(url + pathOf(model, upload))).status, 404);
      forget(model, upload);
    },
    hasUpload,
  ),
];
