import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { testRegistry } from '../support/registry.ts';
import { digestOf, examine, openSessions } from './consistency.ts';
import { RawConnection } from './raw-connection.ts';
import { errorCode, finish, getBlob, patch, pullBlob, received, startUpload } from './uploading.ts';

const bytes = randomBytes(30_000);
const digest = digestOf(bytes);
const part = (first: number, end: number): Buffer<ArrayBuffer> => bytes.subarray(first, end);

function patchRange(session: string, range: string, body: Buffer<ArrayBuffer>): Promise<Response> {
  return fetch(session, { method: 'PATCH', headers: { 'content-range': range }, body });
}

const outOfOrder: [why: string, range: string, body: Buffer<ArrayBuffer>][] = [
  ['the first chunk again', '0-9999', part(0, 10_000)],
  ['a gap', '10001-19999', part(10_001, 20_000)],
  ['an overlap', '9999-19999', part(9_999, 20_000)],
  ['an end before the start', '10000-9999', part(10_000, 10_001)],
  ['fewer bytes than the range', '10000-19999', part(10_000, 19_000)],
  ['more bytes than the range', '10000-19998', part(10_000, 20_000)],
  ['no range at all', 'bytes', part(10_000, 20_000)],
];

test('returns 416 with the current range when a chunk is out of order, and changes nothing', async (t) => {
  const { app } = await testRegistry(t);
  const { url } = await app.listen();
  const first = await startUpload(url, 'a');
  assert.equal((await patchRange(first, '5-9', part(5, 10))).status, 416);
  assert.equal(await received(first), 0);

  const session = await startUpload(url, 'a');
  assert.equal((await patch(session, part(0, 10_000), 0)).status, 202);
  for (const method of ['PATCH', 'PUT']) {
    for (const [why, range, body] of outOfOrder) {
      const target = method === 'PUT' ? `${session}?digest=${digest}` : session;
      const response = await fetch(target, { method, headers: { 'content-range': range }, body });
      assert.equal(response.status, 416, `${method}: ${why}`);
      assert.equal(await errorCode(response), 'RANGE_INVALID', `${method}: ${why}`);
      assert.equal(await received(session), 10_000, `${method}: ${why}`);
    }
  }
  const stale = await patchRange(session, '0-9999', part(0, 10_000));
  assert.equal(stale.headers.get('range'), '0-9999');
  assert.equal(new URL(stale.headers.get('location') as string, url).href, session);

  assert.equal((await patch(session, part(10_000, 20_000), 10_000)).status, 202);
  assert.equal((await finish(session, digest, part(20_000, 30_000))).status, 201);
  assert.ok((await pullBlob(url, 'a', digest)).equals(bytes));
});

test('rejects a body without Content-Length that does not match its Content-Range, and discards its bytes', async (t) => {
  const { app } = await testRegistry(t);
  const { url } = await app.listen();
  const session = await startUpload(url, 'a');
  for (const wrong of [9_999, 10_001]) {
    const response = await fetch(session, {
      method: 'PATCH',
      headers: { 'content-range': '0-9999' },
      body: ReadableStream.from([part(0, wrong)]),
      duplex: 'half',
    } as RequestInit);
    assert.equal(response.status, 416);
    assert.equal(await errorCode(response), 'RANGE_INVALID');
    assert.equal(await received(session), 0);
  }
  assert.equal((await finish(session, digest, bytes)).status, 201);
  await pullBlob(url, 'a', digest);
});

test('accepts one of several concurrent PATCHes or PUTs and rejects the others', async (t) => {
  const { app } = await testRegistry(t);
  const { url } = await app.listen();
  const session = await startUpload(url, 'a');
  const path = session.slice(url.length);
  const half = part(0, 15_000);

  const slow = await RawConnection.to(url);
  slow.request('PATCH', path, { 'content-length': half.length, expect: '100-continue' });
  assert.equal((await slow.response())?.status, 100);
  slow.send(half.subarray(0, 100));
  for (let i = 0; i < 5; i++) {
    const second = await patch(session, half);
    assert.equal(second.status, 416);
    assert.equal(second.headers.get('range'), '0-0');
    assert.equal((await finish(session, digest, bytes)).status, 416);
    assert.equal((await fetch(session, { method: 'DELETE' })).status, 416);
  }
  slow.send(half.subarray(100));
  assert.equal((await slow.response())?.status, 202);
  slow.destroy();

  const rest = part(15_000, 30_000);
  const answers = await Promise.all([1, 2, 3, 4].map(() => finish(session, digest, rest)));
  const statuses = answers.map((answer) => answer.status).sort();
  assert.equal(statuses[0], 201, String(statuses));
  assert.ok(
    statuses.slice(1).every((status) => status === 416 || status === 404),
    String(statuses),
  );
  assert.ok((await pullBlob(url, 'a', digest)).equals(bytes));
});

test('concurrent PATCHes of one session store whole chunks in the order of their answers', async (t) => {
  const { app } = await testRegistry(t);
  const { url } = await app.listen();
  const session = await startUpload(url, 'a');
  const chunks = Array.from({ length: 20 }, (_, i) => Buffer.alloc(10_000, i));
  const answers = await Promise.all(chunks.map((chunk) => patch(session, chunk)));
  const taken = answers.filter(({ status }) => status === 202);
  assert.ok(taken.length > 0);
  assert.ok(answers.every(({ status }) => status === 202 || status === 416));
  assert.equal(await received(session), taken.length * 10_000);
  // The ranges in the answers give the order of the chunks.
  const order = answers
    .map(({ status, headers }, i) => ({ status, end: Number(headers.get('range')?.split('-')[1]), i }))
    .filter(({ status }) => status === 202)
    .sort((a, b) => a.end - b.end);
  const whole = Buffer.concat(order.map(({ i }) => chunks[i] as Buffer));
  assert.equal((await finish(session, digestOf(whole))).status, 201);
  await pullBlob(url, 'a', digestOf(whole));
});

test('a wrong digest leaves no session, row or file', async (t) => {
  const { app, data } = await testRegistry(t);
  const { url } = await app.listen();
  const wrong = digestOf(Buffer.from('something else'));
  const streamed = await startUpload(url, 'a');
  await patch(streamed, bytes);
  for (const response of [
    await finish(streamed, wrong),
    await finish(await startUpload(url, 'a'), wrong, bytes),
    await finish(await startUpload(url, 'a'), digestOf(Buffer.from('else'), 'sha512'), bytes),
    await fetch(`${url}/v2/a/blobs/uploads/?digest=${wrong}`, { method: 'POST', body: bytes }),
  ]) {
    assert.equal(response.status, 400);
    assert.equal(await errorCode(response), 'DIGEST_INVALID');
  }
  assert.equal(await received(streamed), undefined);
  for (const unknown of [digest, wrong]) assert.equal((await getBlob(url, 'a', unknown)).status, 404);
  assert.deepEqual(examine(data), { problems: [], orphanUploads: [], orphanBlobs: [] });
  assert.deepEqual(openSessions(data), []);
});

test('a PUT without a digest, or with a malformed one, does not change the session', async (t) => {
  const { app } = await testRegistry(t);
  const { url } = await app.listen();
  const session = await startUpload(url, 'a');
  await patch(session, bytes);
  for (const query of ['', '?digest=sha256:abc', '?digest=md5:d41d8cd98f00b204e9800998ecf8427e']) {
    const response = await fetch(session + query, { method: 'PUT' });
    assert.equal(response.status, 400);
    assert.equal(await errorCode(response), 'DIGEST_INVALID');
  }
  assert.equal((await finish(session, digest)).status, 201);
});

test('a session is unknown in other repositories', async (t) => {
  const { app } = await testRegistry(t);
  const { url } = await app.listen();
  const session = await startUpload(url, 'a');
  await patch(session, part(0, 10_000));
  await startUpload(url, 'b');
  const foreign = session.replace('/v2/a/', '/v2/b/');
  for (const response of [
    await fetch(foreign),
    await patch(foreign, part(10_000, 20_000)),
    await finish(foreign, digestOf(part(0, 10_000))),
    await fetch(foreign, { method: 'DELETE' }),
  ]) {
    assert.equal(response.status, 404);
  }
  assert.equal(await received(session), 10_000);
});

for (const [session, wanted] of [
  ['sha256', 'sha512'],
  ['sha512', 'sha256'],
  ['sha512', 'sha512'],
] as const) {
  test(`a ${session} session can store a ${wanted} blob`, async (t) => {
    const { app } = await testRegistry(t);
    const { url } = await app.listen();
    const location = await startUpload(url, 'a', `?digest-algorithm=${session}`);
    await patch(location, part(0, 10_000), 0);
    await patch(location, part(10_000, 20_000), 10_000);
    const digest = digestOf(bytes, wanted);
    assert.equal((await finish(location, digest, part(20_000, 30_000))).status, 201);
    assert.ok((await pullBlob(url, 'a', digest)).equals(bytes));
  });
}
