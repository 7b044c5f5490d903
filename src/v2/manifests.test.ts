// end-3 and end-7a: pushes and reads of manifests. Refused ones are in manifest-validation.test.ts.

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import test from 'node:test';
import {
  type Algorithm,
  assertError,
  Client,
  connect,
  type Document,
  digestOf,
  dockerManifest,
  dockerManifestList,
  emptyJson,
  imageOf,
  indexOf,
  locationOf,
  ociIndex,
  ociManifest,
  refer,
  serialize,
  unknownDigest,
  unknownSha512,
} from '../../test/support/inject.ts';
import { testRegistry } from '../../test/support/registry.ts';

const limit = 4 * 1024 * 1024;

test('end-3, end-7a: a manifest comes back byte for byte, with its type', async (t) => {
  const registry = await connect(t);
  for (const mediaType of [ociManifest, ociIndex, dockerManifest, dockerManifestList]) {
    for (const algorithm of ['sha256', 'sha512'] as Algorithm[]) {
      for (const by of ['tag', 'digest']) {
        // A push by tag has no digest: the registry uses sha256.
        if (by === 'tag' && algorithm === 'sha512') continue;
        await t.test(`${mediaType} by ${by}, ${algorithm}`, async () => {
          const bytes = await untidy(registry, mediaType);
          const digest = digestOf(bytes, algorithm);
          const put = await registry.putManifest('a/b', by === 'tag' ? 'v1' : digest, bytes, {
            'content-type': mediaType,
          });
          assert.equal(put.status, 201, put.body.toString());
          assert.equal(put.body.length, 0);
          assert.equal(put.headers['docker-content-digest'], digest);
          assert.equal(locationOf(put), `/v2/a/b/manifests/${digest}`);
          for (const path of by === 'tag' ? [locationOf(put), '/v2/a/b/manifests/v1'] : [locationOf(put)]) {
            await assertServed(registry, path, bytes, mediaType, digest);
          }
        });
      }
    }
  }
});

test('a manifest whose stored bytes changed is an internal error, and is never served', async (t) => {
  const { app, database } = await testRegistry(t);
  const registry = new Client(app.http);
  const { digest, bytes } = await registry.pushImage('a', 'v1');
  const changed = Buffer.from(bytes);
  changed[10] = (changed[10] as number) ^ 1;
  const store = (bytes: Buffer) =>
    database.transaction((db) => db.updateTable('manifests').set({ bytes }).execute());
  await store(changed);
  for (const reference of ['v1', digest]) {
    for (const method of ['GET', 'HEAD']) {
      assert.equal((await registry.send(method, `/v2/a/manifests/${reference}`)).status, 500);
    }
  }
  await store(bytes);
  assert.deepEqual((await registry.get('/v2/a/manifests/v1')).body, bytes);
});

test('end-3: Accept does not change what is served', async (t) => {
  const registry = await connect(t);
  const image = await registry.pushImage('a', 'image');
  const index = await registry.pushManifest('a', indexOf([refer(image)]), 'index');
  const accepts = [
    undefined,
    '*/*',
    'application/json',
    'text/html, */*;q=0.1',
    ociManifest,
    ociIndex,
    `${dockerManifest};q=0.9, ${ociIndex};q=0.1`,
    [ociIndex, ociManifest, dockerManifestList],
    `${ociManifest};q=0`,
    'not a media type',
  ];
  for (const { bytes, mediaType, digest } of [image, index]) {
    for (const accept of accepts) {
      const answer = await registry.get(`/v2/a/manifests/${digest}`, accept === undefined ? {} : { accept });
      assert.equal(answer.status, 200, String(accept));
      assert.equal(answer.headers['content-type'], mediaType);
      assert.deepEqual(answer.body, bytes);
    }
  }
});

test('end-3: Content-Type is served without the parameters it was pushed with', async (t) => {
  const registry = await connect(t);
  for (const contentType of [
    `${ociManifest}; charset=utf-8`,
    `${ociManifest};charset=UTF-8`,
    ociManifest.toUpperCase(),
  ]) {
    const bytes = serialize(await registry.image('a'));
    const put = await registry.putManifest('a', 'v1', bytes, { 'content-type': contentType });
    assert.equal(put.status, 201, put.body.toString());
    await assertServed(registry, '/v2/a/manifests/v1', bytes, ociManifest, digestOf(bytes));
  }
});

test('C5: either Content-Type or mediaType may be missing', async (t) => {
  const registry = await connect(t);
  const { mediaType: _, ...untyped } = await registry.image('a');
  const byHeader = await registry.putManifest('a', 'by-header', untyped, { 'content-type': ociManifest });
  assert.equal(byHeader.status, 201, byHeader.body.toString());
  await assertServed(
    registry,
    '/v2/a/manifests/by-header',
    serialize(untyped),
    ociManifest,
    digestOf(serialize(untyped)),
  );

  const typed = serialize(await registry.image('a'));
  const byField = await registry.send('PUT', '/v2/a/manifests/by-field', {}, typed);
  assert.equal(byField.status, 201, byField.body.toString());
  await assertServed(registry, '/v2/a/manifests/by-field', typed, ociManifest, digestOf(typed));

  assertError(
    await registry.send('PUT', '/v2/a/manifests/by-neither', {}, serialize(untyped)),
    400,
    'MANIFEST_INVALID',
  );
});

test('end-7a: a manifest sent without Content-Length is accepted', async (t) => {
  const registry = await connect(t);
  const bytes = serialize(await registry.image('a'));
  const headers = { 'content-type': ociManifest, 'transfer-encoding': 'chunked' };
  const put = await registry.send('PUT', '/v2/a/manifests/v1', headers, Readable.from([bytes]));
  assert.equal(put.status, 201, put.body.toString());
  await assertServed(registry, '/v2/a/manifests/v1', bytes, ociManifest, digestOf(bytes));
});

test('R18: an incomplete manifest is not stored', async (t) => {
  const registry = await connect(t);
  const bytes = serialize(await registry.image('a'));
  for (const length of [{ 'content-length': String(bytes.length + 1) }, { 'transfer-encoding': 'chunked' }]) {
    const headers = { 'content-type': ociManifest, ...length };
    assertError(await registry.breakOff('PUT', '/v2/a/manifests/v1', headers, bytes), 400, 'SIZE_INVALID');
  }
  assertError(await registry.get(`/v2/a/manifests/${digestOf(bytes)}`), 404, 'MANIFEST_UNKNOWN');
});

test('C8: a manifest of exactly 4 MiB is accepted, one byte more is 413', async (t) => {
  const registry = await connect(t);
  const image = await registry.image('a');
  const sized = (size: number) => {
    const spare = size - serialize({ ...image, annotations: { padding: '' } }).length;
    return serialize({ ...image, annotations: { padding: 'x'.repeat(spare) } });
  };
  const whole = await registry.putManifest('a', 'whole', sized(limit));
  assert.equal(whole.status, 201, whole.body.toString());
  await assertServed(registry, '/v2/a/manifests/whole', sized(limit), ociManifest, digestOf(sized(limit)));

  const over = sized(limit + 1);
  assertError(await registry.putManifest('a', 'over', over), 413, 'MANIFEST_TOO_LARGE');
  const chunked = { 'content-type': ociManifest, 'transfer-encoding': 'chunked' };
  const streamed = await registry.send('PUT', '/v2/a/manifests/over', chunked, Readable.from([over]));
  assertError(streamed, 413, 'MANIFEST_TOO_LARGE');
  assertError(await registry.get('/v2/a/manifests/over'), 404, 'MANIFEST_UNKNOWN');
});

test('end-7a: bytes that do not match the digest are refused', async (t) => {
  const registry = await connect(t);
  const bytes = serialize(await registry.image('a'));
  const rows: [what: string, reference: string][] = [
    ['other bytes', digestOf(`${bytes}  `)],
    ['other bytes, sha512', digestOf(`${bytes}  `, 'sha512')],
    [
      'the right hex under another algorithm',
      digestOf(bytes, 'sha512')
        .slice(0, 'sha512:'.length + 64)
        .replace('512', '256'),
    ],
  ];
  for (const [what, reference] of rows) {
    await t.test(what, async () => {
      assertError(await registry.putManifest('a', reference, bytes), 400, 'DIGEST_INVALID');
      assert.equal((await registry.head(`/v2/a/manifests/${reference}`)).status, 404);
    });
  }
  assert.equal((await registry.head(`/v2/a/manifests/${digestOf(bytes)}`)).status, 404);
});

test('end-3: 404 NAME_UNKNOWN for a missing repository, MANIFEST_UNKNOWN for a missing manifest', async (t) => {
  const registry = await connect(t);
  const blob = await registry.pushBlob('a', 'a blob, not a manifest');
  const image = await registry.pushImage('a', 'v1');
  const elsewhere = await registry.pushImage('b', 'only-b');
  const rows: [path: string, code: string][] = [
    ['/v2/a/manifests/nothing', 'MANIFEST_UNKNOWN'],
    ['/v2/a/manifests/V1', 'MANIFEST_UNKNOWN'],
    [`/v2/a/manifests/${unknownDigest}`, 'MANIFEST_UNKNOWN'],
    [`/v2/a/manifests/${unknownSha512}`, 'MANIFEST_UNKNOWN'],
    [`/v2/a/manifests/${blob}`, 'MANIFEST_UNKNOWN'],
    [`/v2/a/manifests/${elsewhere.digest}`, 'MANIFEST_UNKNOWN'],
    ['/v2/a/manifests/only-b', 'MANIFEST_UNKNOWN'],
    ['/v2/nobody/here/manifests/v1', 'NAME_UNKNOWN'],
    [`/v2/nobody/here/manifests/${image.digest}`, 'NAME_UNKNOWN'],
  ];
  for (const [path, code] of rows) {
    await t.test(path, async () => {
      assertError(await registry.get(path), 404, code);
      assert.equal((await registry.head(path)).status, 404);
    });
  }
});

test('end-7a: a tag moves; its former manifest stays', async (t) => {
  const registry = await connect(t);
  const first = await registry.pushImage('a', 'v1');
  const second = await registry.pushImage('a', 'v1');
  await assertServed(registry, '/v2/a/manifests/v1', second.bytes, second.mediaType, second.digest);
  await assertServed(registry, `/v2/a/manifests/${first.digest}`, first.bytes, first.mediaType, first.digest);
  assert.deepEqual(await registry.tags('a'), ['v1']);
});

test('end-7a: the same manifest can be pushed again, by digest and by any tag', async (t) => {
  const registry = await connect(t);
  const document = await registry.image('a');
  for (const tag of [undefined, undefined, 'v1', 'v1', 'v2']) await registry.pushManifest('a', document, tag);
  assert.deepEqual(await registry.tags('a'), ['v1', 'v2']);
});

test('end-7a: the same bytes are one manifest in each repository', async (t) => {
  const registry = await connect(t);
  const document = imageOf(await registry.pushContent('a', '{}', emptyJson), []);
  const image = await registry.pushManifest('a', document, 'v1');
  await registry.pushBlob('b', '{}');
  await registry.pushManifest('b', document, 'v1');
  assert.equal((await registry.delete(`/v2/a/manifests/${image.digest}`)).status, 202);
  await assertServed(registry, '/v2/b/manifests/v1', image.bytes, image.mediaType, image.digest);
});

test('end-7a: tags of every allowed form', async (t) => {
  const registry = await connect(t);
  const document = await registry.image('a');
  for (const tag of ['v1', '_', 'A.b-C_d', '1', 'latest', `${'x'.repeat(128)}`, 'v1.0.0_build.5']) {
    await registry.pushManifest('a', document, tag);
    assert.equal((await registry.get(`/v2/a/manifests/${tag}`)).status, 200, tag);
  }
});

async function assertServed(
  registry: Client,
  path: string,
  bytes: Buffer,
  mediaType: string,
  digest: string,
): Promise<void> {
  const got = await registry.get(path);
  assert.equal(got.status, 200, got.body.toString());
  assert.ok(got.body.equals(bytes), 'other bytes than were pushed');
  const head = await registry.head(path);
  assert.equal(head.status, 200);
  for (const { headers } of [got, head]) {
    assert.equal(headers['content-type'], mediaType);
    assert.equal(headers['content-length'], String(bytes.length));
    assert.equal(headers['docker-content-digest'], digest);
    assert.equal(headers.etag, `"${digest}"`);
    assert.equal(headers['content-encoding'], undefined);
  }
}

/** A manifest of the type, in bytes that no serializer would write. */
async function untidy(registry: Client, mediaType: string): Promise<Buffer> {
  const image = await registry.image('a/b');
  const document: Document =
    mediaType === ociIndex || mediaType === dockerManifestList
      ? indexOf([refer(await registry.pushManifest('a/b', image))], { mediaType })
      : { ...image, mediaType };
  const text = JSON.stringify(Object.fromEntries(Object.entries(document).reverse()), null, 3);
  return Buffer.from(`\n ${text.replace('{', '{ "x-caf\\u00e9": "☕ 1e0", "n": 1.0,')}\n\n`);
}
