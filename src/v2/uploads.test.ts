// end-4, end-5, end-6, end-13, end-14: upload sessions from POST to PUT. Chunk order is in chunks.test.ts, mounts in mounts.test.ts.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import test from 'node:test';
import {
  type Algorithm,
  type Answer,
  assertError,
  type Client,
  connect,
  digestOf,
  locationOf,
  unknownDigest,
  unknownUpload,
  withQuery,
} from '../../test/support/inject.ts';

const algorithms: readonly Algorithm[] = ['sha256', 'sha512'];
const octets = { 'content-type': 'application/octet-stream' };
const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/;

test('end-4a: POST opens a session', async (t) => {
  const registry = await connect(t);
  for (const path of [
    '/v2/a/b/blobs/uploads/',
    '/v2/a/b/blobs/uploads',
    '/v2/a/b/blobs/uploads/?digest-algorithm=sha256',
  ]) {
    await t.test(path, async () => {
      const answer = await registry.send('POST', path);
      assert.equal(answer.status, 202);
      assert.equal(answer.body.length, 0);
      assert.equal(answer.headers['content-length'], '0');
      assert.equal(answer.headers.range, '0-0');
      const id = answer.headers['docker-upload-uuid'] ?? '';
      assert.match(id, uuid);
      // The docker client uses the last path segment as the id, and resolves the rest against its request.
      assert.equal(new URL(locationOf(answer), 'http://localhost').pathname, `/v2/a/b/blobs/uploads/${id}`);
      assert.ok(locationOf(answer).startsWith('/v2/'), `not relative: ${locationOf(answer)}`);
    });
  }
});

test('end-4a: every POST opens a new session', async (t) => {
  const registry = await connect(t);
  const locations = await Promise.all(Array.from({ length: 20 }, () => registry.openUpload('a')));
  assert.equal(new Set(locations).size, 20);
});

test('end-4b: one POST pushes a blob', async (t) => {
  const registry = await connect(t);
  for (const algorithm of algorithms) {
    for (const [what, bytes] of [
      ['some bytes', randomBytes(5000)],
      ['no bytes', Buffer.alloc(0)],
    ] as const) {
      const digest = digestOf(bytes, algorithm);
      const path = `/v2/a/blobs/uploads/?digest=${encodeURIComponent(digest)}`;
      await t.test(`${what}, ${algorithm}`, async () => {
        await assertPushed(registry, await registry.send('POST', path, octets, bytes), digest, bytes);
      });
      await t.test(`${what}, ${algorithm}, chunked`, async () => {
        const chunked = { ...octets, 'transfer-encoding': 'chunked' };
        const answer = await registry.send('POST', path, chunked, Readable.from(bytes.length ? [bytes] : []));
        await assertPushed(registry, answer, digest, bytes);
      });
    }
  }
});

test('end-4b: bytes that do not match the digest are stored under neither digest', async (t) => {
  const registry = await connect(t);
  for (const algorithm of algorithms) {
    const claimed = digestOf('claimed', algorithm);
    const answer = await registry.send('POST', `/v2/a/blobs/uploads/?digest=${claimed}`, octets, 'sent');
    assertError(answer, 400, 'DIGEST_INVALID');
    await assertAbsent(registry, 'claimed', 'sent');
  }
});

test('end-4c: a session hashes with the algorithm it was opened with', async (t) => {
  const registry = await connect(t);
  for (const algorithm of algorithms) {
    const bytes = randomBytes(3000);
    const location = await registry.openUpload('a', `?digest-algorithm=${algorithm}`);
    const patched = await registry.patch(location, bytes);
    assert.equal(patched.status, 202);
    const digest = digestOf(bytes, algorithm);
    await assertPushed(registry, await registry.finish(locationOf(patched), digest), digest, bytes);
  }
});

test('end-4c: a session opened without an algorithm accepts a sha512 digest too', async (t) => {
  const registry = await connect(t);
  const bytes = randomBytes(3000);
  const digest = digestOf(bytes, 'sha512');
  const streamed = locationOf(await registry.patch(await registry.openUpload('a'), bytes.subarray(0, 1000)));
  await assertPushed(registry, await registry.finish(streamed, digest, bytes.subarray(1000)), digest, bytes);
});

test('end-4c: an unknown algorithm is refused', async (t) => {
  const registry = await connect(t);
  for (const algorithm of ['md5', 'sha384', 'SHA256', 'sha256:', '', '../x']) {
    const path = `/v2/a/blobs/uploads/?digest-algorithm=${encodeURIComponent(algorithm)}`;
    assertError(await registry.send('POST', path), 400, 'DIGEST_INVALID');
  }
});

test('end-6: POST and PUT push a blob', async (t) => {
  const registry = await connect(t);
  for (const algorithm of algorithms) {
    for (const bytes of [randomBytes(200_000), Buffer.alloc(0)]) {
      const digest = digestOf(bytes, algorithm);
      await t.test(`${bytes.length} bytes, ${algorithm}`, async () => {
        await assertPushed(
          registry,
          await registry.finish(await registry.openUpload('a'), digest, bytes),
          digest,
          bytes,
        );
      });
      await t.test(`${bytes.length} bytes, ${algorithm}, chunked`, async () => {
        const body = Readable.from(bytes.length ? [bytes] : []);
        const chunked = { 'transfer-encoding': 'chunked' };
        const answer = await registry.finish(await registry.openUpload('a'), digest, body, chunked);
        await assertPushed(registry, answer, digest, bytes);
      });
    }
  }
});

test('end-5, end-6: a stream in one PATCH, then an empty PUT, as docker and podman push', async (t) => {
  const registry = await connect(t);
  for (const algorithm of algorithms) {
    for (const bytes of [randomBytes(300_000), Buffer.alloc(0)]) {
      const digest = digestOf(bytes, algorithm);
      const location = await registry.openUpload('a');
      const answer = await registry.patch(location, Readable.from(bytes.length ? [bytes] : []));
      assert.equal(answer.status, 202);
      assert.equal(answer.body.length, 0);
      assert.equal(answer.headers.range, `0-${Math.max(0, bytes.length - 1)}`);
      assert.match(answer.headers['docker-upload-uuid'] ?? '', uuid);
      await assertPushed(registry, await registry.finish(locationOf(answer), digest), digest, bytes);
    }
  }
});

test('end-6: an existing blob can be pushed again', async (t) => {
  const registry = await connect(t);
  const bytes = randomBytes(1000);
  for (let i = 0; i < 3; i++) await registry.pushBlob('a', bytes);
  await registry.pushBlob('b', bytes);
  assert.deepEqual((await registry.get(`/v2/a/blobs/${digestOf(bytes)}`)).body, bytes);
});

test('R17: a wrong digest at PUT stores the bytes under neither digest', async (t) => {
  const registry = await connect(t);
  for (const algorithm of algorithms) {
    const claimed = digestOf('claimed', algorithm);
    const patched = await registry.patch(await registry.openUpload('a'), 'sent');
    assertError(await registry.finish(locationOf(patched), claimed), 400, 'DIGEST_INVALID');
    assertError(
      await registry.finish(await registry.openUpload('a'), claimed, 'sent'),
      400,
      'DIGEST_INVALID',
    );
    await assertAbsent(registry, 'claimed', 'sent');
  }
});

test('2.2: a session outlives a PUT with no digest or a malformed one', async (t) => {
  const registry = await connect(t);
  for (const query of ['', '?digest=', '?digest=sha256:abc', `?digest=md5:${'0'.repeat(32)}`]) {
    const location = locationOf(await registry.patch(await registry.openUpload('a'), 'bytes'));
    const value = query.split('=')[1];
    const url = value === undefined ? location : withQuery(location, 'digest', value);
    assertError(await registry.send('PUT', url, octets), 400, 'DIGEST_INVALID');
    const status = await registry.get(location);
    assert.equal(status.status, 204);
    assert.equal(status.headers.range, '0-4');
    assert.equal((await registry.finish(location, digestOf('bytes'))).status, 201);
  }
});

test('R18: an interrupted body is never a blob, even if its bytes so far match the digest', async (t) => {
  const registry = await connect(t);
  const digest = digestOf('0123456789');
  for (const length of [{ 'content-length': '20' }, { 'transfer-encoding': 'chunked' }]) {
    const headers = { ...octets, ...length };
    const path = `/v2/a/blobs/uploads/?digest=${digest}`;
    const posted = await registry.breakOff('POST', path, headers, '0123456789');
    const location = withQuery(await registry.openUpload('a'), 'digest', digest);
    const put = await registry.breakOff('PUT', location, headers, '0123456789');
    for (const answer of [posted, put])
      assert.ok(answer.status >= 400 && answer.status < 500, String(answer.status));
  }
  await assertAbsent(registry, '0123456789');
});

test('D6: an encoded body is 415', async (t) => {
  const registry = await connect(t);
  const encoded = { ...octets, 'content-encoding': 'gzip' };
  const digest = digestOf('bytes');
  const answers = [
    await registry.send('POST', `/v2/a/blobs/uploads/?digest=${digest}`, encoded, 'bytes'),
    await registry.send('PATCH', await registry.openUpload('a'), encoded, 'bytes'),
    await registry.finish(await registry.openUpload('a'), digest, 'bytes', encoded),
  ];
  for (const answer of answers) assertError(answer, 415, 'ENCODING_UNSUPPORTED');
});

test('end-13: the state of a session', async (t) => {
  const registry = await connect(t);
  const location = await registry.openUpload('a');
  const check = async (url: string, range: string) => {
    const answer = await registry.get(url);
    assert.equal(answer.status, 204);
    assert.equal(answer.body.length, 0);
    assert.equal(answer.headers.range, range);
    assert.ok(location.includes(answer.headers['docker-upload-uuid'] ?? 'no id'));
    return locationOf(answer);
  };
  await check(location, '0-0');
  await registry.patch(location, randomBytes(1000));
  const asTold = await check(location, '0-999');
  await registry.patch(asTold, randomBytes(24));
  await check(asTold, '0-1023');
  // Clients that continue after a refused PUT use the same URL, with the digest still in the query.
  await check(withQuery(location, 'digest', unknownDigest), '0-1023');
});

test('end-14: a cancelled session is 404', async (t) => {
  const registry = await connect(t);
  const location = await registry.openUpload('a');
  await registry.patch(location, 'bytes');
  const answer = await registry.delete(location);
  assert.equal(answer.status, 204);
  assert.equal(answer.body.length, 0);
  await assertNoSession(registry, location);
  await assertAbsent(registry, 'bytes');
});

test('end-6: a session ends with its PUT', async (t) => {
  const registry = await connect(t);
  const location = await registry.openUpload('a');
  assert.equal((await registry.finish(location, digestOf('bytes'), 'bytes')).status, 201);
  await assertNoSession(registry, location);
});

test('D1: a session belongs to one repository', async (t) => {
  const registry = await connect(t);
  const location = await registry.openUpload('a');
  await registry.pushBlob('b', 'b exists');
  await assertNoSession(registry, location.replace('/v2/a/', '/v2/b/'));
  assert.equal((await registry.get(location)).status, 204);
});

test('C3: unknown and malformed session ids are 404', async (t) => {
  const registry = await connect(t);
  const id = (await registry.openUpload('a')).split('?')[0]!.split('/').at(-1)!;
  const ids = [
    unknownUpload,
    id.toUpperCase(),
    id.replaceAll('-', ''),
    `{${id}}`,
    `urn:uuid:${id}`,
    `${id}%00`,
    `%20${id}`,
    '..%2f..%2fx',
    `..%2fuploads%2f${id}`,
    `${id}%2f`,
    '..%2f',
    'x'.repeat(10_000),
    '00000000-0000-0000-0000-000000000000',
  ];
  for (const one of ids) {
    await t.test(one.slice(0, 60), () => assertNoSession(registry, `/v2/a/blobs/uploads/${one}`));
  }
});

async function assertPushed(registry: Client, answer: Answer, digest: string, bytes: Buffer): Promise<void> {
  assert.equal(answer.status, 201, answer.body.toString());
  assert.equal(answer.body.length, 0);
  assert.equal(answer.headers['docker-content-digest'], digest);
  assert.equal(locationOf(answer), `/v2/a/blobs/${digest}`);
  const got = await registry.get(locationOf(answer));
  assert.equal(got.status, 200);
  assert.ok(got.body.equals(bytes), 'other bytes than were pushed');
}

async function assertAbsent(registry: Client, ...contents: string[]): Promise<void> {
  for (const content of contents) {
    for (const algorithm of algorithms) {
      assertError(await registry.get(`/v2/a/blobs/${digestOf(content, algorithm)}`), 404, 'BLOB_UNKNOWN');
    }
  }
}

async function assertNoSession(registry: Client, location: string): Promise<void> {
  const answers = [
    await registry.patch(location, 'bytes'),
    await registry.finish(location, digestOf('bytes'), 'bytes'),
    await registry.delete(location),
    await registry.get(location),
  ];
  for (const answer of answers) assertError(answer, 404, 'BLOB_UPLOAD_UNKNOWN');
}
