// end-2 and end-10: reads and deletes of blobs. Byte ranges are in ranges.test.ts.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test from 'node:test';
import {
  type Algorithm,
  assertError,
  connect,
  digestOf,
  imageOf,
  indexOf,
  ociConfig,
  refer,
  unknownDigest,
  unknownSha512,
} from '../../test/support/inject.ts';

test('end-2: GET and HEAD of a blob', async (t) => {
  const registry = await connect(t);
  const contents: [what: string, bytes: Buffer][] = [
    ['random bytes', randomBytes(100_000)],
    ['zero bytes', Buffer.alloc(0)],
    ['{}', Buffer.from('{}')],
    ['every byte', Buffer.from(Array.from({ length: 256 }, (_, i) => i))],
    ['a web page', Buffer.from('<script>alert(1)</script>')],
  ];
  for (const algorithm of ['sha256', 'sha512'] as Algorithm[]) {
    for (const [what, bytes] of contents) {
      await t.test(`${what}, ${algorithm}`, async () => {
        const digest = await registry.pushBlob('a', bytes, algorithm);
        const got = await registry.get(`/v2/a/blobs/${digest}`);
        assert.equal(got.status, 200);
        assert.ok(got.body.equals(bytes), 'other bytes than were pushed');
        const head = await registry.head(`/v2/a/blobs/${digest}`);
        assert.equal(head.status, 200);
        for (const { headers } of [got, head]) {
          assert.equal(headers['content-length'], String(bytes.length));
          assert.equal(headers['docker-content-digest'], digest);
          assert.equal(headers.etag, `"${digest}"`);
          assert.equal(headers['accept-ranges'], 'bytes');
          assert.match(headers['cache-control'] ?? '', /max-age=31536000/);
          assert.equal(headers['content-encoding'], undefined);
        }
      });
    }
  }
});

test('D8: a blob is inert in a browser', async (t) => {
  const registry = await connect(t);
  const digest = await registry.pushBlob('a', '<html><script>alert(1)</script></html>');
  for (const answer of [
    await registry.get(`/v2/a/blobs/${digest}`),
    await registry.head(`/v2/a/blobs/${digest}`),
  ]) {
    assert.equal(answer.headers['content-type'], 'application/octet-stream');
    assert.equal(answer.headers['x-content-type-options'], 'nosniff');
    assert.match(answer.headers['content-disposition'] ?? '', /^attachment\b/);
    assert.match(answer.headers['content-security-policy'] ?? '', /\bsandbox\b/);
  }
});

test('2.3: a blob is never content-encoded', async (t) => {
  const registry = await connect(t);
  const digest = await registry.pushBlob('a', Buffer.alloc(100_000));
  const answer = await registry.get(`/v2/a/blobs/${digest}`, { 'accept-encoding': 'zstd,gzip,deflate,br' });
  assert.equal(answer.headers['content-encoding'], undefined);
  assert.equal(answer.headers['content-length'], '100000');
});

test('end-2: a blob that the repository does not hold is 404 BLOB_UNKNOWN', async (t) => {
  const registry = await connect(t);
  const elsewhere = await registry.pushBlob('b', 'only in b');
  const manifest = await registry.pushImage('a', 'latest');
  const rows: [what: string, path: string][] = [
    ['exists nowhere', `/v2/a/blobs/${unknownDigest}`],
    ['exists nowhere, sha512', `/v2/a/blobs/${unknownSha512}`],
    ['exists in another repository only', `/v2/a/blobs/${elsewhere}`],
    ['is a manifest (2.3: containerd asks both ways)', `/v2/a/blobs/${manifest.digest}`],
    [
      'has the bytes of a sha256 blob under its sha512 name',
      `/v2/b/blobs/${digestOf('only in b', 'sha512')}`,
    ],
    ['in a repository that does not exist', `/v2/nobody/here/blobs/${unknownDigest}`],
  ];
  for (const [what, path] of rows) {
    await t.test(what, async () => {
      assertError(await registry.get(path), 404, 'BLOB_UNKNOWN');
      assert.equal((await registry.head(path)).status, 404);
    });
  }
});

test('A2: a blob of another repository looks exactly like one that exists nowhere', async (t) => {
  const registry = await connect(t);
  await registry.pushBlob('b', 'bytes of b');
  const elsewhere = await registry.pushBlob('a', 'bytes of a');
  const theirs = await registry.get(`/v2/b/blobs/${elsewhere}`);
  const nowhere = await registry.get(`/v2/b/blobs/${unknownDigest}`);
  assert.equal(theirs.status, nowhere.status);
  assert.equal(
    theirs.body.toString().replaceAll(elsewhere, ''),
    nowhere.body.toString().replaceAll(unknownDigest, ''),
  );
  assert.deepEqual(Object.keys(theirs.headers).sort(), Object.keys(nowhere.headers).sort());
});

test('2.3: If-None-Match on a blob', async (t) => {
  const registry = await connect(t);
  const digest = await registry.pushBlob('a', 'bytes');
  const rows: [value: string, status: number][] = [
    [`"${digest}"`, 304],
    [digest, 304],
    [`W/"${digest}"`, 304],
    [`"other", "${digest}"`, 304],
    ['*', 304],
    [`"${unknownDigest}"`, 200],
    [`"${digest.slice(0, -1)}"`, 200],
    ['"', 200],
  ];
  for (const [value, status] of rows) {
    await t.test(value, async () => {
      const got = await registry.get(`/v2/a/blobs/${digest}`, { 'if-none-match': value });
      assert.equal(got.status, status);
      assert.equal(got.body.toString(), status === 304 ? '' : 'bytes');
      assert.equal(got.headers.etag, `"${digest}"`);
      assert.equal((await registry.head(`/v2/a/blobs/${digest}`, { 'if-none-match': value })).status, status);
    });
  }
  assertError(
    await registry.get(`/v2/a/blobs/${unknownDigest}`, { 'if-none-match': '*' }),
    404,
    'BLOB_UNKNOWN',
  );
});

test('end-10: a delete removes the blob from this repository at once, and from no other', async (t) => {
  for (const algorithm of ['sha256', 'sha512'] as Algorithm[]) {
    await t.test(algorithm, async (t) => {
      const registry = await connect(t);
      const digest = await registry.pushBlob('a', 'shared', algorithm);
      await registry.pushBlob('b', 'shared', algorithm);
      const mounted = await registry.send('POST', `/v2/c/blobs/uploads/?mount=${digest}&from=a`);
      assert.equal(mounted.status, 201);

      const deleted = await registry.delete(`/v2/a/blobs/${digest}`);
      assert.equal(deleted.status, 202);
      assert.equal(deleted.body.length, 0);
      assertError(await registry.get(`/v2/a/blobs/${digest}`), 404, 'BLOB_UNKNOWN');
      assert.equal((await registry.head(`/v2/a/blobs/${digest}`)).status, 404);
      for (const name of ['b', 'c'])
        assert.equal((await registry.get(`/v2/${name}/blobs/${digest}`)).status, 200);
    });
  }
});

test('end-10: deleting a blob that the repository does not hold is 404', async (t) => {
  const registry = await connect(t);
  const elsewhere = await registry.pushBlob('b', 'only in b');
  const gone = await registry.pushBlob('a', 'soon gone');
  assert.equal((await registry.delete(`/v2/a/blobs/${gone}`)).status, 202);
  for (const digest of [unknownDigest, elsewhere, gone]) {
    assertError(await registry.delete(`/v2/a/blobs/${digest}`), 404, 'BLOB_UNKNOWN');
  }
  assertError(await registry.delete(`/v2/nobody/blobs/${unknownDigest}`), 404, 'BLOB_UNKNOWN');
  assert.equal((await registry.get(`/v2/b/blobs/${elsewhere}`)).status, 200);
});

test('end-10: a deleted blob can be pushed again, repeatedly', async (t) => {
  const registry = await connect(t);
  for (let i = 0; i < 5; i++) {
    const digest = await registry.pushBlob('a', 'again');
    assert.equal((await registry.get(`/v2/a/blobs/${digest}`)).body.toString(), 'again');
    assert.equal((await registry.delete(`/v2/a/blobs/${digest}`)).status, 202);
    assert.equal((await registry.head(`/v2/a/blobs/${digest}`)).status, 404);
  }
});

test('2.4: a blob cannot be deleted while a manifest refers to it', async (t) => {
  const registry = await connect(t);
  const config = await registry.pushContent('a', '{}', ociConfig);
  const layer = await registry.pushContent('a', 'a layer');
  const cached = await registry.pushContent('a', 'a layer in a BuildKit cache index');
  const image = await registry.pushManifest('a', imageOf(config, [layer]), 'latest');
  const index = await registry.pushManifest('a', indexOf([refer(image), cached]));

  for (const { digest } of [config, layer, cached]) {
    assertError(await registry.delete(`/v2/a/blobs/${digest}`), 405, 'UNSUPPORTED');
    assert.equal((await registry.head(`/v2/a/blobs/${digest}`)).status, 200);
  }
  for (const { digest } of [index, image]) {
    assert.equal((await registry.delete(`/v2/a/manifests/${digest}`)).status, 202);
  }
  for (const { digest } of [config, layer, cached]) {
    assert.equal((await registry.delete(`/v2/a/blobs/${digest}`)).status, 202);
  }
});
