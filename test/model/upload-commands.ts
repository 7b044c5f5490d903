import assert from 'node:assert/strict';
import fc from 'fast-check';
import { digestOf } from '../faults/consistency.ts';
import { stored } from './blob-commands.ts';
import { blobs } from './content.ts';
import { anyOf, command, type Model, pick, type Upload } from './model.ts';

const hasUpload = (model: Model): boolean => model.uploads.length > 0;

/** Inclusive; `0-0` stands for no bytes and for one byte. */
function rangeOf({ received }: Upload): string {
  return `0-${Math.max(received - 1, 0)}`;
}

function forget(model: Model, upload: Upload): void {
  model.uploads.splice(model.uploads.indexOf(upload), 1);
}

export const uploadCommands = [
  command('startUpload', fc.record({ name: anyOf, blob: anyOf }), async (model, { url }, given) => {
    const repository = pick(model.repositories, given.name);
    const response = await fetch(`${url}/v2/${repository.name}/blobs/uploads/`, { method: 'POST' });
    assert.equal(response.status, 202);
    repository.exists = true;
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
      const response = await fetch(url + upload.path, { method: 'PATCH', headers, body });
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
      const stranger = model.repositories.find((repository) => repository !== upload.repository);
      const path = given.foreign
        ? upload.path.replace(`/v2/${upload.repository.name}/blobs/`, `/v2/${stranger?.name}/blobs/`)
        : upload.path;
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
      const response = await fetch(`${url}${upload.path}?digest=${digest}`, {
        method: 'PUT',
        ...(given.rest && { body }),
      });
      const whole = given.rest || body.length === 0;
      // A wrong digest ends the session too.
      assert.equal(response.status, whole ? 201 : 400);
      forget(model, upload);
      if (whole) stored(repository, digest);
    },
    hasUpload,
  ),

  command(
    'cancelUpload',
    anyOf,
    async (model, { url }, number) => {
      const upload = pick(model.uploads, number);
      assert.equal((await fetch(url + upload.path, { method: 'DELETE' })).status, 204);
      assert.equal((await fetch(url + upload.path)).status, 404);
      forget(model, upload);
    },
    hasUpload,
  ),
];
