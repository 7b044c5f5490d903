// The API's errors by code, and C1 and C2: invalid names, tags and digests on every route.

import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import test from 'node:test';
import {
  assertError,
  Client,
  connect,
  digestOf,
  imageOf,
  locationOf,
  unknownDigest,
  unknownUpload,
} from '../../test/support/inject.ts';
import { testRegistry } from '../../test/support/registry.ts';

const hex = unknownDigest.slice('sha256:'.length);

/** Every route with a repository name. */
const routes: readonly [method: string, path: (name: string) => string][] = [
  ['GET', (name) => `/v2/${name}/manifests/latest`],
  ['HEAD', (name) => `/v2/${name}/manifests/latest`],
  ['PUT', (name) => `/v2/${name}/manifests/latest`],
  ['DELETE', (name) => `/v2/${name}/manifests/latest`],
  ['GET', (name) => `/v2/${name}/blobs/${unknownDigest}`],
  ['HEAD', (name) => `/v2/${name}/blobs/${unknownDigest}`],
  ['DELETE', (name) => `/v2/${name}/blobs/${unknownDigest}`],
  ['POST', (name) => `/v2/${name}/blobs/uploads/`],
  ['PATCH', (name) => `/v2/${name}/blobs/uploads/${unknownUpload}`],
  ['GET', (name) => `/v2/${name}/tags/list`],
  ['GET', (name) => `/v2/${name}/referrers/${unknownDigest}`],
];

test('C1: an invalid name is 400 NAME_INVALID on every route, and touches no file', async (t) => {
  const running = await testRegistry(t);
  const registry = new Client(running.app.http);
  const before = await readdir(running.data, { recursive: true });
  const names = [
    '..%2f..%2fetc',
    'a%2f..%2fb',
    'a%00b',
    'a%5cb',
    'a%0d%0ab',
    'A',
    'a/B',
    'a..b',
    'a//b',
    '-a',
    'a-',
    '.a',
    'a___b',
    'a._b',
    'a%20b',
    'a+b',
    'a~b',
    '%C3%A4',
    '%D0%B0', // Cyrillic а
    '%EF%BD%81', // fullwidth ａ
    '_uploads',
    'a:b',
    'a@b',
    `a${'b'.repeat(255)}`,
    'a/'.repeat(5000).slice(0, -1),
    'a-'.repeat(5000),
  ];
  for (const name of names) {
    await t.test(name.slice(0, 40), async () => {
      for (const [method, path] of routes) {
        const answer = await registry.send(method, path(name));
        if (method === 'HEAD') assert.equal(answer.status, 400);
        else assertError(answer, 400, 'NAME_INVALID');
      }
    });
  }
  assert.deepEqual(await readdir(running.data, { recursive: true }), before);
});

test('C1: malformed percent-encoding is 400', async (t) => {
  const registry = await connect(t);
  for (const path of [
    '/v2/%zz/tags/list',
    '/v2/a%/tags/list',
    '/v2/%ff/tags/list',
    '/v2/%c0%af/manifests/x',
  ]) {
    assertError(await registry.get(path), 400, 'NAME_INVALID');
  }
});

test('names at the edge of the grammar are valid, also those that look like a route', async (t) => {
  const registry = await connect(t);
  const names = [
    'a',
    '0',
    'a.b',
    'a_b',
    'a__b',
    'a-b',
    'a---b',
    'a/b/c/d/e/f/g',
    `a${'b'.repeat(254)}`,
    'blobs',
    'manifests',
    'tags/list',
    'v2/blobs/uploads',
    'a/blobs/uploads',
    'a/manifests/b',
    'a/tags/list',
    'referrers/a',
  ];
  for (const name of names) {
    await t.test(name.slice(0, 40), async () => {
      const digest = await registry.pushBlob(name, '{}');
      const image = await registry.pushManifest(
        name,
        imageOf(await registry.pushContent(name, '{}'), []),
        'list',
      );
      assert.equal((await registry.get(`/v2/${name}/blobs/${digest}`)).status, 200);
      assert.deepEqual((await registry.get(`/v2/${name}/manifests/list`)).body, image.bytes);
      assert.deepEqual(await registry.tags(name), ['list']);
      assert.deepEqual(await registry.referrers(name, image.digest), []);
    });
  }
  const { repositories } = (await registry.get('/v2/_catalog')).json<{ repositories: string[] }>();
  assert.deepEqual(repositories, [...names].sort());
});

test('C2: an invalid digest is 400 DIGEST_INVALID in every parameter', async (t) => {
  const registry = await connect(t);
  await registry.pushImage('a', 'v1');
  const digests = [
    'sha256:..%2f..%2fx',
    `sha256:${hex.slice(1)}`,
    `sha256:${hex}0`,
    `sha256:${hex.toUpperCase()}`,
    `sha256:${hex.slice(0, -1)}g`,
    `sha256:${hex}%2f..`,
    `sha256:${hex}%00`,
    `sha256:%20${hex}`,
    `sha256:${hex}%0a`,
    `sha512:${hex}`,
    `SHA256:${hex}`,
    `md5:${hex.slice(0, 32)}`,
    `sha384:${hex}${hex.slice(0, 32)}`,
    `sha256:${'a'.repeat(10_000)}`,
    'sha256:',
    `:${hex}`,
    'sha256:baddigeststring',
  ];
  for (const digest of digests) {
    await t.test(digest.slice(0, 40), async () => {
      const document = await registry.image('a');
      const answers = [
        await registry.get(`/v2/a/blobs/${digest}`),
        await registry.delete(`/v2/a/blobs/${digest}`),
        await registry.get(`/v2/a/manifests/${digest}`),
        await registry.putManifest('a', digest, document),
        await registry.delete(`/v2/a/manifests/${digest}`),
        await registry.get(`/v2/a/referrers/${digest}`),
        await registry.send('POST', `/v2/a/blobs/uploads/?digest=${digest}`, {}, 'bytes'),
        await registry.send('POST', `/v2/a/blobs/uploads/?mount=${digest}&from=b`),
        await registry.send('PUT', `${await registry.openUpload('a')}?digest=${digest}`, {}, 'bytes'),
      ];
      for (const answer of answers) assertError(answer, 400, 'DIGEST_INVALID');
      assert.equal((await registry.head(`/v2/a/blobs/${digest}`)).status, 400);
      assert.equal((await registry.head(`/v2/a/manifests/${digest}`)).status, 400);
    });
  }
});

test('a blob path accepts digests only', async (t) => {
  const registry = await connect(t);
  for (const reference of ['latest', hex, 'upload']) {
    assertError(await registry.get(`/v2/a/blobs/${reference}`), 400, 'DIGEST_INVALID');
  }
});

test('a write to an invalid tag is 400 TAG_INVALID, a read is 404', async (t) => {
  const registry = await connect(t);
  const document = await registry.image('a');
  for (const tag of [
    '.a',
    '-a',
    'a%2fb',
    'a%20b',
    'a%00',
    'a%0d%0ab',
    '%C3%A4',
    'a+b',
    'a@b',
    'x'.repeat(129),
    '%2e%2e%2fx',
  ]) {
    assertError(await registry.get(`/v2/a/manifests/${tag}`), 404, 'MANIFEST_UNKNOWN');
    assert.equal((await registry.head(`/v2/a/manifests/${tag}`)).status, 404);
    const answers = [
      await registry.putManifest('a', tag, document),
      await registry.delete(`/v2/a/manifests/${tag}`),
    ];
    for (const answer of answers) assertError(answer, 400, 'TAG_INVALID');
  }
});

test('errors: each code with its status', async (t) => {
  const registry = await connect(t);
  const image = await registry.image('a');
  await registry.pushManifest('a', image, 'v1');
  const upload = await registry.openUpload('a');
  const octets = { 'content-type': 'application/octet-stream' };
  const rows: [
    status: number,
    code: string,
    method: string,
    path: string,
    headers?: Record<string, string>,
    body?: string,
  ][] = [
    [404, 'BLOB_UNKNOWN', 'GET', `/v2/a/blobs/${unknownDigest}`],
    [404, 'BLOB_UPLOAD_UNKNOWN', 'PATCH', `/v2/a/blobs/uploads/${unknownUpload}`, octets, 'x'],
    [400, 'DIGEST_INVALID', 'POST', `/v2/a/blobs/uploads/?digest=${unknownDigest}`, octets, 'x'],
    [400, 'DIGEST_INVALID', 'POST', '/v2/a/blobs/uploads/?digest-algorithm=md5'],
    [400, 'MANIFEST_BLOB_UNKNOWN', 'PUT', '/v2/b/manifests/v1', {}, JSON.stringify(image)],
    [400, 'MANIFEST_INVALID', 'PUT', '/v2/a/manifests/v1', {}, '{}'],
    [404, 'MANIFEST_UNKNOWN', 'GET', '/v2/a/manifests/v2'],
    [400, 'NAME_INVALID', 'GET', '/v2/A/manifests/v1'],
    [404, 'NAME_UNKNOWN', 'GET', '/v2/c/tags/list'],
    [400, 'PAGINATION_NUMBER_INVALID', 'GET', '/v2/a/tags/list?n=x'],
    [
      412,
      'PRECONDITION_FAILED',
      'PUT',
      '/v2/a/manifests/v1',
      { 'if-none-match': '*' },
      JSON.stringify(image),
    ],
    [416, 'RANGE_INVALID', 'PATCH', upload, { ...octets, 'content-range': '5-5' }, 'x'],
    [400, 'TAG_INVALID', 'PUT', '/v2/a/manifests/.v1'],
    [405, 'UNSUPPORTED', 'PATCH', '/v2/a/manifests/v1'],
  ];
  for (const [status, code, method, path, headers, body] of rows) {
    await t.test(`${status} ${code}`, async () => {
      const answer = await registry.send(method, path, headers, body);
      assertError(answer, status, code);
      assert.equal(answer.headers['content-length'], String(answer.body.length));
    });
  }
});

test('C13: input of a request never becomes a response header', async (t) => {
  const registry = await connect(t);
  for (const path of [
    `/v2/a/tags/list?n=1&last=${encodeURIComponent('x\r\nset-cookie: a=b')}`,
    `/v2/a/referrers/${unknownDigest}?artifactType=${encodeURIComponent('x\r\nset-cookie: a=b\u4e2d')}`,
    `/v2/a/manifests/${encodeURIComponent('x\r\nset-cookie: a=b')}`,
    `/v2/_catalog?last=${encodeURIComponent('\r\nset-cookie: a=b\u4e2d')}`,
  ]) {
    const answer = await registry.get(path);
    assert.ok(answer.status < 500, `answered ${answer.status}`);
    assert.equal(answer.headers['set-cookie'], undefined);
  }
});

test('C14: forwarding headers and Host of an untrusted client do not change the URLs in answers', async (t) => {
  const registry = await connect(t);
  const headers = {
    host: 'evil.example.com',
    forwarded: 'host=evil.example.com;proto=https',
    'x-forwarded-host': 'evil.example.com',
    'x-forwarded-proto': 'https',
    'x-forwarded-prefix': '/evil',
  };
  const opened = await registry.send('POST', '/v2/a/blobs/uploads/', headers);
  const pushed = await registry.send('POST', `/v2/a/blobs/uploads/?digest=${digestOf('x')}`, headers, 'x');
  assert.equal(opened.status, 202);
  assert.equal(pushed.status, 201);
  for (const answer of [opened, pushed]) assert.ok(locationOf(answer).startsWith('/v2/a/blobs/'));
});
