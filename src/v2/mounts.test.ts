// end-11: mounts of blobs from another repository.

import assert from 'node:assert/strict';
import test from 'node:test';
import {
  type Algorithm,
  assertError,
  type Client,
  connect,
  digestOf,
  locationOf,
  unknownDigest,
  unknownSha512,
} from '../../test/support/inject.ts';

function mount(registry: Client, name: string, query: Record<string, string>) {
  return registry.send('POST', `/v2/${name}/blobs/uploads/?${new URLSearchParams(query)}`);
}

test('end-11: a mounted blob stays when its source deletes it', async (t) => {
  for (const algorithm of ['sha256', 'sha512'] as Algorithm[]) {
    const rows: [what: string, query: Record<string, string>][] = [
      ['from a named repository', { from: 'source/app' }],
      ['from any (no `from`)', {}],
      ['with crane’s `origin`', { from: 'source/app', origin: 'registry.example.com' }],
    ];
    for (const [what, query] of rows) {
      await t.test(`${what}, ${algorithm}`, async (t) => {
        const registry = await connect(t);
        const digest = await registry.pushBlob('source/app', 'to be mounted', algorithm);
        const answer = await mount(registry, 'target', { mount: digest, ...query });
        assert.equal(answer.status, 201);
        assert.equal(answer.body.length, 0);
        assert.equal(locationOf(answer), `/v2/target/blobs/${digest}`);
        assert.equal(answer.headers['docker-content-digest'], digest);
        assert.equal((await registry.get(locationOf(answer))).body.toString(), 'to be mounted');

        assert.equal((await registry.delete(`/v2/source/app/blobs/${digest}`)).status, 202);
        assert.equal((await registry.get(locationOf(answer))).body.toString(), 'to be mounted');
      });
    }
  }
});

test('end-11: any mount that fails opens an ordinary session', async (t) => {
  const registry = await connect(t);
  const gone = await registry.pushBlob('source', 'soon deleted');
  assert.equal((await registry.delete(`/v2/source/blobs/${gone}`)).status, 202);
  const elsewhere = await registry.pushBlob('other', 'only in other');
  const rows: [what: string, query: Record<string, string>][] = [
    ['exists nowhere', { mount: unknownDigest, from: 'source' }],
    ['exists nowhere, sha512', { mount: unknownSha512, from: 'source' }],
    ['exists nowhere, no `from`', { mount: unknownDigest }],
    ['not in `from`', { mount: elsewhere, from: 'source' }],
    ['`from` does not exist', { mount: elsewhere, from: 'nobody/here' }],
    ['deleted at its source', { mount: gone, from: 'source' }],
    ['deleted at its source, no `from`', { mount: gone }],
    ['under its sha512 name', { mount: digestOf('only in other', 'sha512'), from: 'other' }],
    ['`from` without `mount`', { from: 'other' }],
  ];
  for (const [what, query] of rows) {
    await t.test(what, async () => {
      const answer = await mount(registry, 'target', query);
      assert.equal(answer.status, 202, answer.body.toString());
      assert.equal(answer.headers.range, '0-0');
      assert.ok(answer.headers['docker-upload-uuid']);
      const pushed = await registry.finish(locationOf(answer), digestOf(what), what);
      assert.equal(pushed.status, 201);
      assert.equal((await registry.get(locationOf(pushed))).body.toString(), what);
    });
  }
});

test('end-11: a mount from the same repository finds its blobs', async (t) => {
  const registry = await connect(t);
  const digest = await registry.pushBlob('a', 'bytes');
  assert.equal((await mount(registry, 'a', { mount: digest, from: 'a' })).status, 201);
  assert.equal((await mount(registry, 'a', { mount: digest })).status, 201);
});

test('A3, C2: a malformed `mount` or `from` is 400', async (t) => {
  const registry = await connect(t);
  const digest = await registry.pushBlob('a', 'bytes');
  for (const malformed of [
    'sha256:abc',
    'sha256:../../x',
    `md5:${'0'.repeat(32)}`,
    digest.toUpperCase(),
    'x',
  ]) {
    assertError(await mount(registry, 'b', { mount: malformed, from: 'a' }), 400, 'DIGEST_INVALID');
    assertError(await mount(registry, 'b', { mount: malformed }), 400, 'DIGEST_INVALID');
  }
  for (const malformed of ['../a', 'A', 'a//b', 'a/', `a${'b'.repeat(255)}`]) {
    assertError(await mount(registry, 'b', { mount: digest, from: malformed }), 400, 'NAME_INVALID');
  }
  assertError(await registry.get(`/v2/b/blobs/${digest}`), 404, 'BLOB_UNKNOWN');
});
