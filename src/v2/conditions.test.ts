// 2.3: If-None-Match on manifest pulls; If-Match and If-None-Match on pushes, so that writers of a tag detect each other.

import assert from 'node:assert/strict';
import test from 'node:test';
import { assertError, connect, digestOf, serialize, unknownDigest } from '../../test/support/inject.ts';

test('2.3: If-None-Match on a manifest', async (t) => {
  const registry = await connect(t);
  const { digest, bytes, mediaType } = await registry.pushImage('a', 'v1');
  const rows: [value: string, status: number][] = [
    [`"${digest}"`, 304],
    [digest, 304],
    [`W/"${digest}"`, 304],
    [`"x","${digest}"`, 304],
    [`"x", W/"y" , "${digest}"`, 304],
    ['*', 304],
    [`"${unknownDigest}"`, 200],
    [unknownDigest, 200],
    [`"${digest.slice(0, 20)}"`, 200],
    [`"x${digest}"`, 200],
    [',', 200],
  ];
  for (const [value, status] of rows) {
    for (const reference of ['v1', digest]) {
      await t.test(`${value} for ${reference}`, async () => {
        const headers = { 'if-none-match': value };
        const got = await registry.get(`/v2/a/manifests/${reference}`, headers);
        assert.equal(got.status, status);
        assert.ok(got.body.equals(status === 304 ? Buffer.alloc(0) : bytes));
        assert.equal(got.headers.etag, `"${digest}"`);
        assert.equal(got.headers['docker-content-digest'], digest);
        if (status === 200) assert.equal(got.headers['content-type'], mediaType);
        assert.equal((await registry.head(`/v2/a/manifests/${reference}`, headers)).status, status);
      });
    }
  }
});

test('2.3: with If-None-Match a moved tag is 200, and an absent one is 404', async (t) => {
  const registry = await connect(t);
  const first = await registry.pushImage('a', 'v1');
  const second = await registry.pushImage('a', 'v1');
  const answer = await registry.get('/v2/a/manifests/v1', { 'if-none-match': `"${first.digest}"` });
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.body, second.bytes);
  assertError(await registry.get('/v2/a/manifests/v2', { 'if-none-match': '*' }), 404, 'MANIFEST_UNKNOWN');
});

test('a PUT with If-None-Match: * creates a tag and never moves one', async (t) => {
  const registry = await connect(t);
  const headers = { 'if-none-match': '*' };
  const first = serialize(await registry.image('a'));
  const second = serialize(await registry.image('a'));
  assert.equal((await registry.putManifest('a', 'v1', first, headers)).status, 201);
  for (const bytes of [second, first]) {
    assertError(await registry.putManifest('a', 'v1', bytes, headers), 412, 'PRECONDITION_FAILED');
  }
  assert.deepEqual((await registry.get('/v2/a/manifests/v1')).body, first);
  // A refused push stores nothing.
  assertError(await registry.get(`/v2/a/manifests/${digestOf(second)}`), 404, 'MANIFEST_UNKNOWN');
  assert.equal((await registry.putManifest('a', 'v2', second, headers)).status, 201);
});

test('a PUT with If-Match moves a tag only from the given digest', async (t) => {
  const registry = await connect(t);
  const first = await registry.pushImage('a', 'v1');
  const second = serialize(await registry.image('a'));
  const stale = [`"${unknownDigest}"`, unknownDigest, `"${digestOf(second)}"`, '"x", "y"'];
  for (const value of stale) {
    const answer = await registry.putManifest('a', 'v1', second, { 'if-match': value });
    assertError(answer, 412, 'PRECONDITION_FAILED');
    assert.deepEqual((await registry.get('/v2/a/manifests/v1')).body, first.bytes);
  }
  for (const value of [`"${first.digest}"`, first.digest, `"x", "${first.digest}"`, '*']) {
    const answer = await registry.putManifest('a', 'v1', second, { 'if-match': value });
    assert.equal(answer.status, 201, answer.body.toString());
    assert.equal((await registry.putManifest('a', 'v1', first.bytes)).status, 201);
  }
});

test('a PUT with If-Match does not create a tag', async (t) => {
  const registry = await connect(t);
  const bytes = serialize(await registry.image('a'));
  for (const value of ['*', `"${digestOf(bytes)}"`]) {
    assertError(
      await registry.putManifest('a', 'v1', bytes, { 'if-match': value }),
      412,
      'PRECONDITION_FAILED',
    );
  }
  assert.equal((await registry.head('/v2/a/manifests/v1')).status, 404);
});

test('a DELETE with If-Match removes a tag only at the given digest', async (t) => {
  const registry = await connect(t);
  const { digest } = await registry.pushImage('a', 'v1');
  const refused = await registry.send('DELETE', '/v2/a/manifests/v1', { 'if-match': `"${unknownDigest}"` });
  assertError(refused, 412, 'PRECONDITION_FAILED');
  assert.equal((await registry.head('/v2/a/manifests/v1')).status, 200);
  const deleted = await registry.send('DELETE', '/v2/a/manifests/v1', { 'if-match': `"${digest}"` });
  assert.equal(deleted.status, 202);
});

test('of many writers with the same If-Match, exactly one moves the tag', async (t) => {
  const registry = await connect(t);
  const first = await registry.pushImage('a', 'v1');
  const images = await Promise.all(Array.from({ length: 8 }, () => registry.image('a')));
  const headers = { 'if-match': `"${first.digest}"` };
  const answers = await Promise.all(images.map((image) => registry.putManifest('a', 'v1', image, headers)));
  const winners = answers.flatMap(({ status }, i) => (status === 201 ? [i] : []));
  assert.equal(winners.length, 1, `statuses ${answers.map(({ status }) => status)}`);
  for (const answer of answers) if (answer.status !== 201) assertError(answer, 412, 'PRECONDITION_FAILED');
  assert.deepEqual((await registry.get('/v2/a/manifests/v1')).body, serialize(images[winners[0]!]!));
});
