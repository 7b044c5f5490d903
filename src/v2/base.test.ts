// end-1, and rules for every route: the version header, unknown routes, methods, `?ns=`.

import assert from 'node:assert/strict';
import test from 'node:test';
import { assertError, connect, unknownDigest, unknownUpload } from '../../test/support/inject.ts';

test('end-1: GET /v2/ is 200 with the version header', async (t) => {
  const registry = await connect(t);
  const answer = await registry.get('/v2/');
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['content-type'], 'application/json');
  assert.equal(answer.body.toString(), '{}');
});

test('end-1: HEAD /v2/ has the headers of GET', async (t) => {
  const registry = await connect(t);
  const answer = await registry.head('/v2/');
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['content-type'], 'application/json');
  assert.equal(answer.headers['content-length'], '2');
});

test('unknown paths get an error of the API', async (t) => {
  const registry = await connect(t);
  for (const path of [
    '/v2/a/b',
    '/v2/a/nothing',
    '/v2/a/manifests',
    '/v2/a/blobs',
    '/v2/a/tags',
    '/v2/a/tags/list/x',
  ]) {
    await t.test(path, async () => {
      const answer = await registry.get(path);
      assert.equal(answer.status, 404, answer.body.toString());
      assert.equal(answer.headers['content-type'], 'application/json');
      assert.ok(Array.isArray(answer.json().errors), 'no list of errors');
    });
  }
});

test('an unsupported method is 405 UNSUPPORTED with Allow', async (t) => {
  const registry = await connect(t);
  const rows: [method: string, path: string, allowed: string[]][] = [
    ['POST', '/v2/', ['GET', 'HEAD']],
    ['POST', '/v2/a/manifests/latest', ['GET', 'HEAD', 'PUT', 'DELETE']],
    ['PATCH', `/v2/a/manifests/${unknownDigest}`, ['GET', 'HEAD', 'PUT', 'DELETE']],
    ['PUT', `/v2/a/blobs/${unknownDigest}`, ['GET', 'HEAD', 'DELETE']],
    ['GET', '/v2/a/blobs/uploads/', ['POST']],
    ['POST', `/v2/a/blobs/uploads/${unknownUpload}`, ['GET', 'PATCH', 'PUT', 'DELETE']],
    ['DELETE', '/v2/a/tags/list', ['GET']],
    ['POST', `/v2/a/referrers/${unknownDigest}`, ['GET']],
    ['PUT', '/v2/_catalog', ['GET']],
  ];
  for (const [method, path, allowed] of rows) {
    await t.test(`${method} ${path}`, async () => {
      const answer = await registry.send(method, path);
      assertError(answer, 405, 'UNSUPPORTED');
      const listed = (answer.headers.allow ?? '').split(/, */);
      for (const one of allowed)
        assert.ok(listed.includes(one), `Allow lacks ${one}: ${answer.headers.allow}`);
    });
  }
});

test('2.3: the query ?ns=, which containerd sends to mirrors, does not change a pull', async (t) => {
  const registry = await connect(t);
  const pushed = await registry.pushImage('library/app', 'latest');
  const digest = await registry.pushBlob('library/app', 'bytes');
  const rows: [path: string, body: Buffer][] = [
    ['/v2/library/app/manifests/latest', pushed.bytes],
    [`/v2/library/app/manifests/${pushed.digest}`, pushed.bytes],
    [`/v2/library/app/blobs/${digest}`, Buffer.from('bytes')],
  ];
  for (const [path, body] of rows) {
    const answer = await registry.get(`${path}?ns=docker.io`);
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.body, body);
    assert.equal((await registry.head(`${path}?ns=docker.io`)).status, 200);
  }
});

test('every write of an anonymous caller with pull rights gets a challenge', async (t) => {
  const registry = await connect(t, { anonymous: 'pull' });
  const rows: [method: string, path: string][] = [
    ['POST', '/v2/a/blobs/uploads/'],
    ['POST', `/v2/a/blobs/uploads/?digest=${unknownDigest}`],
    ['POST', `/v2/a/blobs/uploads/?mount=${unknownDigest}&from=b`],
    ['PATCH', `/v2/a/blobs/uploads/${unknownUpload}`],
    ['PUT', `/v2/a/blobs/uploads/${unknownUpload}?digest=${unknownDigest}`],
    ['DELETE', `/v2/a/blobs/uploads/${unknownUpload}`],
    ['PUT', '/v2/a/manifests/latest'],
    ['PUT', `/v2/a/manifests/${unknownDigest}?tag=latest`],
    ['DELETE', '/v2/a/manifests/latest'],
    ['DELETE', `/v2/a/manifests/${unknownDigest}`],
    ['DELETE', `/v2/a/blobs/${unknownDigest}`],
  ];
  for (const [method, path] of rows) {
    await t.test(`${method} ${path}`, async () => {
      assertError(await registry.send(method, path), 401, 'UNAUTHORIZED');
    });
  }
  // 2.1: podman asks for a login only here.
  assertError(await registry.get('/v2/'), 401, 'UNAUTHORIZED');
  assertError(await registry.get('/v2/a/manifests/latest'), 404, 'NAME_UNKNOWN');
});
