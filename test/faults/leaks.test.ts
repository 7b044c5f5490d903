import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { testRegistry } from '../support/registry.ts';
import { filesBelow, openSessions } from './consistency.ts';
import { descriptorsBackTo, eventually, openDescriptors } from './descriptors.ts';
import { RawConnection } from './raw-connection.ts';
import { pushBlob } from './uploading.ts';

const rounds = 125;
const atOnce = 8;

test(`${rounds * atOnce} rounds of requests, ended and aborted, leave no descriptor, session or file behind`, async (t) => {
  const { app, data } = await testRegistry(t);
  const { url } = await app.listen();
  const digest = await pushBlob(url, 'a', randomBytes(4 << 20));
  const blob = `/v2/a/blobs/${digest}`;
  const never = `sha256:${'0'.repeat(64)}`;

  /** One request of each kind; each aborted one has its own connection. */
  const round = async (): Promise<void> => {
    const pull = await RawConnection.to(url);
    pull.request('GET', blob);
    const push = await RawConnection.to(url);
    push.request('POST', `/v2/a/blobs/uploads/?digest=${never}`, {
      'content-length': 1 << 20,
      expect: '100-continue',
    });
    assert.equal((await push.response())?.status, 100);
    push.send(Buffer.alloc(10_000));
    push.destroy();
    // Before the first byte of the answer, or during it.
    pull.destroy();

    const kept = await RawConnection.to(url);
    for (const [method, path, headers, status] of [
      ['GET', blob, { 'if-none-match': `"${digest}"` }, 304],
      ['HEAD', blob, {}, 200],
      ['GET', blob, { range: 'bytes=5-9' }, 206],
      ['GET', blob, { range: 'bytes=999999999-' }, 416],
      ['GET', `/v2/a/blobs/${never}`, {}, 404],
      ['GET', '/v2/a/tags/list', {}, 200],
    ] as const) {
      kept.request(method, path, headers);
      // 304 has the headers of a 200, and no body.
      const response = await kept.response({ head: method === 'HEAD' || status === 304 });
      assert.equal(response?.status, status, path);
    }
    kept.destroy();
    await Promise.all([pull.closed, push.closed, kept.closed]);
  };
  await Promise.all(Array.from({ length: atOnce }, round));
  assert.ok(await eventually(() => openSessions(data).length === 0));
  const baseline = openDescriptors();
  const lanes = Array.from({ length: atOnce }, async () => {
    for (let i = 0; i < rounds; i++) await round();
  });
  await Promise.all(lanes);
  await descriptorsBackTo(baseline);
  assert.ok(await eventually(() => openSessions(data).length === 0));
  assert.deepEqual(filesBelow(`${data}/uploads`), []);
});

test('a closed registry leaves no descriptor open', async (t) => {
  const cycle = async (): Promise<void> => {
    const { app } = await testRegistry(t);
    const { url } = await app.listen();
    const connection = await RawConnection.to(url);
    connection.request('GET', '/v2/');
    assert.equal((await connection.response())?.status, 200);
    await app.close();
    await connection.closed;
  };
  await cycle();
  const baseline = openDescriptors();
  for (let i = 0; i < 10; i++) await cycle();
  await descriptorsBackTo(baseline);
});
