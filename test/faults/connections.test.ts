import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { makeCertificate } from '../support/certificate.ts';
import { testRegistry } from '../support/registry.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { digestOf, examine } from './consistency.ts';
import { eventually } from './descriptors.ts';
import { RawConnection, type RawResponse } from './raw-connection.ts';
import { pullBlob, pushBlob } from './uploading.ts';

test('2,000 connections with no or half a request do not block pushes and pulls', async (t) => {
  const { app } = await testRegistry(t, { limits: { connectionsPerNetwork: 3_000 } });
  const { url } = await app.listen();
  const silent = await Promise.all(Array.from({ length: 2_000 }, () => RawConnection.to(url)));
  for (const connection of silent.slice(0, 500)) connection.send('GET /v2/ HTTP/1.1\r\nHost: registry');
  const digest = await pushBlob(url, 'a', Buffer.alloc(1 << 20, 'served'));
  await pullBlob(url, 'a', digest);
  for (const connection of silent) connection.destroy();
});

/** Opens connections that send nothing. */
function idle(t: TestContext, url: string, count: number, localAddress?: string): Promise<RawConnection[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const connection = await RawConnection.to(url, localAddress);
      t.after(() => connection.destroy());
      return connection;
    }),
  );
}

/** Sends a request on its own connection; returns the answer. */
async function ask(url: string, path: string, localAddress?: string): Promise<RawResponse | undefined> {
  const connection = await RawConnection.to(url, localAddress);
  connection.request('GET', path);
  const response = await connection.response();
  connection.destroy();
  return response;
}

const operations = ['/healthz', '/readyz', '/metrics'];

async function tlsOf(t: TestContext) {
  return { tls: makeCertificate(await temporaryDirectory(t)) };
}

for (const scheme of ['http', 'https'] as const) {
  test(`beyond the connection limit (${scheme}) only health and metrics are answered, until others have closed`, async (t) => {
    const settings = scheme === 'https' ? await tlsOf(t) : {};
    const { app } = await testRegistry(t, { limits: { maxConnections: 10 }, anonymous: 'push', ...settings });
    const { url } = await app.listen();
    const taken = await idle(t, url, 10);
    const refused = await ask(url, '/v2/');
    assert.deepEqual([refused?.status, refused?.headers['retry-after']], [503, '5']);
    assert.match(String(refused?.body), /"UNAVAILABLE".*"too many connections are open"/);
    assert.equal((await ask(url, '/nowhere'))?.status, 503);
    for (const path of operations) {
      const answer = await ask(url, path);
      assert.deepEqual([answer?.status, answer?.headers.connection], [200, 'close'], path);
    }
    for (const connection of taken) {
      connection.request('GET', '/v2/');
      assert.equal((await connection.response())?.status, 200);
      connection.destroy();
    }
    assert.ok(await eventually(async () => (await ask(url, '/v2/'))?.status === 200));
  });

  test(`a network at its connection limit (${scheme}) gets 429, and other networks do not`, async (t) => {
    const settings = scheme === 'https' ? await tlsOf(t) : {};
    const { app } = await testRegistry(t, { limits: { connectionsPerNetwork: 5 }, ...settings });
    const { url } = await app.listen();
    const [first] = await idle(t, url, 5);
    const refused = await ask(url, '/v2/');
    assert.deepEqual([refused?.status, refused?.headers['retry-after']], [429, '5']);
    assert.match(
      String(refused?.body),
      /"TOOMANYREQUESTS".*"a network may have at most 5 connections at once"/,
    );
    for (const path of operations) assert.equal((await ask(url, path))?.status, 200, path);
    assert.equal((await ask(url, '/v2/', '127.0.0.2'))?.status, 200);
    first?.destroy();
    assert.ok(await eventually(async () => (await ask(url, '/v2/'))?.status === 200));
  });
}

test('a trusted proxy may have more connections than a network', async (t) => {
  const { app } = await testRegistry(t, {
    limits: { connectionsPerNetwork: 5, maxConnections: 20 },
    trustedProxies: ['127.0.0.1'],
  });
  const { url } = await app.listen();
  await idle(t, url, 10);
  assert.equal((await ask(url, '/v2/'))?.status, 200);
  await idle(t, url, 10);
  assert.equal((await ask(url, '/v2/'))?.status, 503);
});

test('beyond the limit the oldest connections are closed, and health is always answered', async (t) => {
  const { app } = await testRegistry(t, { limits: { connectionsPerNetwork: 5 } });
  const { url } = await app.listen();
  const connections: RawConnection[] = [];
  for (let i = 0; i < 10; i++) {
    connections.push(...(await idle(t, url, 50)));
    assert.equal((await ask(url, '/healthz'))?.status, 200);
  }
  const open = () => connections.filter(({ isOpen }) => isOpen);
  assert.ok(await eventually(() => open().length <= 5 + 64));
  assert.ok(open().length >= 5 + 60, `${open().length} are open`);
  assert.equal((await ask(url, '/v2/', '127.0.0.2'))?.status, 200);
});

test('a connection is usable after an error, with or without a body', async (t) => {
  const { app } = await testRegistry(t);
  const { url } = await app.listen();
  const connection = await RawConnection.to(url);
  const requests: [method: string, path: string, body: string, status: number][] = [
    ['GET', '/v2/a/manifests/none', '', 404],
    ['HEAD', '/v2/a/manifests/none', '', 404],
    ['GET', '/v2/a/blobs/sha256:short', '', 400],
    ['PUT', '/v2/a/manifests/latest', '{"not":"a manifest"}', 400],
    ['POST', `/v2/a/blobs/uploads/?digest=${digestOf(Buffer.from('x'))}`, 'not x', 400],
    ['DELETE', '/v2/a/manifests/none', '', 404],
    ['GET', '/v2/', '', 200],
  ];
  for (const [method, path, body, status] of requests) {
    connection.request(method, path, body === '' ? {} : { 'content-length': body.length });
    connection.send(body);
    const response = await connection.response({ head: method === 'HEAD' });
    assert.equal(response?.status, status, `${method} ${path}`);
    assert.equal(response.headers.connection, 'keep-alive', `${method} ${path}`);
  }
  connection.destroy();
});

test('pipelined requests are answered in order', async (t) => {
  const { app } = await testRegistry(t);
  const { url } = await app.listen();
  const bytes = Buffer.alloc(3 << 20, 'long');
  const digest = await pushBlob(url, 'a', bytes);
  const connection = await RawConnection.to(url);
  connection.request('GET', `/v2/a/blobs/${digest}`);
  connection.request('GET', '/v2/a/manifests/none');
  connection.request('HEAD', `/v2/a/blobs/${digest}`);
  connection.request('GET', `/v2/a/blobs/${digest}`, { range: 'bytes=0-3' });
  connection.request('GET', '/v2/');
  assert.ok((await connection.response())?.body.equals(bytes));
  assert.equal((await connection.response())?.status, 404);
  assert.equal((await connection.response({ head: true }))?.headers['content-length'], String(bytes.length));
  assert.equal((await connection.response())?.body.toString(), 'long');
  assert.equal((await connection.response())?.body.toString(), '{}');
  connection.destroy();
});

/** Heads that a lax parser reads as two requests, or as a different one. */
const ambiguous: [what: string, head: string[], status?: number][] = [
  ['both a length and chunks', ['Content-Length: 6', 'Transfer-Encoding: chunked']],
  ['chunks and a length', ['Transfer-Encoding: chunked', 'Content-Length: 6']],
  ['two lengths', ['Content-Length: 0', 'Content-Length: 6']],
  ['the same length twice', ['Content-Length: 6', 'Content-Length: 6']],
  ['a list of lengths', ['Content-Length: 6, 6']],
  ['a signed length', ['Content-Length: +6']],
  ['a hexadecimal length', ['Content-Length: 0x6']],
  ['a space before the colon', ['Transfer-Encoding : chunked']],
  ['an unknown transfer coding', ['Transfer-Encoding: xchunked'], 501],
  ['chunked before another coding', ['Transfer-Encoding: chunked, identity']],
  ['a folded header', ['Transfer-Encoding:\r\n chunked']],
  ['a NUL in a header', ['X-Header: a\0b']],
];

for (const [what, head, status = 400] of ambiguous) {
  test(`rejects a request with ${what} and ignores what follows it`, async (t) => {
    const { app } = await testRegistry(t);
    const { url } = await app.listen();
    const connection = await RawConnection.to(url);
    connection.send(
      `POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: registry.test\r\n${head.join('\r\n')}\r\n\r\n` +
        '0\r\n\r\nGPOST /v2/smuggled/blobs/uploads/ HTTP/1.1\r\nHost: registry.test\r\n\r\n',
    );
    assert.equal((await connection.response())?.status, status);
    assert.equal(await connection.response(), undefined);
    await connection.closed;
    assert.equal((await fetch(`${url}/v2/smuggled/tags/list`)).status, 404);
  });
}

test('returns 431 for headers or a URL over the limit', async (t) => {
  const { app } = await testRegistry(t);
  const { url } = await app.listen();
  for (const [path, headers] of [
    ['/v2/', { authorization: `Bearer ${'x'.repeat(1 << 20)}` }],
    [`/v2/${'a'.repeat(64 << 10)}/tags/list`, {}],
  ] as const) {
    const connection = await RawConnection.to(url);
    connection.request('GET', path, headers);
    assert.equal((await connection.response())?.status, 431);
    connection.destroy();
  }
  assert.equal((await fetch(`${url}/v2/`)).status, 200);
});

test('rejects a compressed request body and stores nothing', async (t) => {
  const { app, data } = await testRegistry(t);
  const { url } = await app.listen();
  const plain = Buffer.from('plain');
  const body = gzipSync(plain);
  for (const digest of [digestOf(plain), digestOf(body)]) {
    const path = `/v2/a/blobs/uploads/?digest=${digest}`;
    const headers = { 'content-encoding': 'gzip' };
    const response = await fetch(url + path, { method: 'POST', headers, body });
    assert.equal(response.status, 415);
  }
  assert.deepEqual(examine(data), { problems: [], orphanUploads: [], orphanBlobs: [] });
});
