import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { Balancer } from '../replicas/balancer.ts';
import { needs } from '../support/needs.ts';
import { type ConfigInput, testRegistry } from '../support/registry.ts';
import { digestOf } from './consistency.ts';
import { RawConnection } from './raw-connection.ts';
import { pushBlob, startUpload } from './uploading.ts';

const tenGigabytes = 10_000_000_000;
const unknownSession = '00000000-0000-4000-8000-000000000000';
const digest = digestOf(Buffer.from('never sent'));
const manifest = { 'content-type': 'application/vnd.oci.image.manifest.v1+json' };

interface Refusal {
  readonly what: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly config?: ConfigInput;
}

const refusals: readonly Refusal[] = [
  { what: 'no such resource', method: 'PUT', path: '/v2/a/nothing', status: 404 },
  { what: 'no such page', method: 'PUT', path: '/nothing', status: 404 },
  { what: 'a page that takes no body', method: 'PUT', path: '/healthz', status: 404 },
  { what: 'an invalid name', method: 'POST', path: `/v2/UPPER/blobs/uploads/?digest=${digest}`, status: 400 },
  {
    what: 'an invalid digest',
    method: 'POST',
    path: '/v2/a/blobs/uploads/?digest=sha256:short',
    status: 400,
  },
  { what: 'a method not allowed', method: 'PATCH', path: `/v2/a/blobs/${digest}`, status: 405 },
  { what: 'an unknown session', method: 'PATCH', path: `/v2/a/blobs/uploads/${unknownSession}`, status: 404 },
  {
    what: 'a PUT to an unknown session',
    method: 'PUT',
    path: `/v2/a/blobs/uploads/${unknownSession}?digest=${digest}`,
    status: 404,
  },
  {
    what: 'a manifest too large',
    method: 'PUT',
    path: '/v2/a/manifests/latest',
    headers: manifest,
    status: 413,
  },
  {
    what: 'an encoded body',
    method: 'POST',
    path: `/v2/a/blobs/uploads/?digest=${digest}`,
    headers: { 'content-encoding': 'gzip' },
    status: 415,
  },
  {
    what: 'a caller who may only pull',
    method: 'POST',
    path: `/v2/a/blobs/uploads/?digest=${digest}`,
    config: { anonymous: 'pull' },
    status: 401,
  },
];

/** Sends zeros until the connection closes. */
async function flood(connection: RawConnection, framing: 'chunked' | 'Content-Length'): Promise<void> {
  const zeros = Buffer.alloc(64 << 10);
  const chunk =
    framing === 'chunked' ? Buffer.concat([Buffer.from('10000\r\n'), zeros, Buffer.from('\r\n')]) : zeros;
  while (connection.isOpen) {
    if (!connection.socket.write(chunk))
      await Promise.race([once(connection.socket, 'drain'), connection.closed]);
  }
}

async function listening(
  t: TestContext,
  config: ConfigInput = {},
): Promise<{ url: string; sockets: Socket[] }> {
  const { app } = await testRegistry(t, config);
  const sockets: Socket[] = [];
  app.http.server.on('connection', (socket) => sockets.push(socket));
  return { url: (await app.listen()).url, sockets };
}

// Concurrent, as each connection lingers for a second.
describe('a request rejected before its body is read', { concurrency: 8 }, () => {
  for (const { what, method, path, status, headers = {}, config = {} } of refusals) {
    for (const framing of ['Content-Length', 'chunked'] as const) {
      test(`${what}: 10 GB with ${framing} are answered ${status} and not read`, async (t) => {
        const { url, sockets } = await listening(t, config);
        const connection = await RawConnection.to(url);
        const framed: Record<string, string | number> =
          framing === 'chunked' ? { 'transfer-encoding': 'chunked' } : { 'content-length': tenGigabytes };
        connection.request(method, path, { ...headers, ...framed });
        const sending = flood(connection, framing).catch(() => {});
        const response = await connection.response();
        assert.equal(response?.status, status);
        await connection.closed;
        await sending;
        // A chunked manifest is too large only once it has exceeded the limit.
        const limit = (path.includes('manifests') && framing === 'chunked' ? 4 << 20 : 0) + (1 << 20);
        const read = sockets[0]?.bytesRead ?? 0;
        assert.ok(read <= limit, `${read} bytes were read`);
      });
    }

    test(`${what}: sends no 100 Continue`, async (t) => {
      const { url } = await listening(t, config);
      const connection = await RawConnection.to(url);
      connection.request(method, path, {
        ...headers,
        'content-length': tenGigabytes,
        expect: '100-continue',
      });
      assert.equal((await connection.response())?.status, status);
      connection.destroy();
    });
  }
});

test('through nginx, a client that sends all before reading gets 401, not 502', async (t) => {
  if (!needs(t, 'nginx')) return;
  const { url } = await listening(t, { anonymous: 'public' });
  const { host } = await Balancer.start(t, [new URL(url).host]);
  // The balancer buffers the body of a GET, and streams the other bodies.
  for (const method of ['GET', 'POST', 'PUT']) {
    for (const size of [64 << 10, 1 << 20, 8 << 20]) {
      for (let i = 0; i < 4; i++) {
        const connection = await RawConnection.to(`http://${host}`);
        connection.socket.pause();
        connection.request(method, method === 'POST' ? '/v2/a/blobs/uploads/' : '/v2/a/manifests/v1', {
          'content-length': size,
        });
        await new Promise<void>((resolve) => connection.socket.write(Buffer.alloc(size), () => resolve()));
        connection.socket.resume();
        assert.equal((await connection.response())?.status, 401, `${method} with ${size} bytes`);
        connection.destroy();
      }
    }
  }
});

test('a session with another writer rejects a request before asking for its body', async (t) => {
  const { url } = await listening(t);
  const path = (await startUpload(url, 'a')).slice(url.length);
  const headers = { 'content-length': 1_000, expect: '100-continue' };
  const first = await RawConnection.to(url);
  first.request('PATCH', path, headers);
  assert.equal((await first.response())?.status, 100);
  const second = await RawConnection.to(url);
  second.request('PATCH', path, headers);
  assert.equal((await second.response())?.status, 416);
  for (const connection of [first, second]) connection.destroy();
});

test('sends 100 Continue for an acceptable body and accepts it', async (t) => {
  const { url } = await listening(t);
  const bytes = Buffer.from('wanted');
  const session = (await startUpload(url, 'a')).slice(url.length);
  const config = await pushBlob(url, 'a', Buffer.from('{}'));
  const descriptor = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config, size: 2 };
  const image = JSON.stringify({ schemaVersion: 2, config: descriptor, layers: [] });
  const requests: [string, string, string | Buffer, number, object?][] = [
    ['POST', `/v2/a/blobs/uploads/?digest=${digestOf(bytes)}`, bytes, 201],
    ['PATCH', session, bytes, 202],
    ['PUT', `${session}?digest=${digestOf(Buffer.concat([bytes, bytes]))}`, bytes, 201],
    ['PUT', '/v2/a/manifests/latest', image, 201, manifest],
  ];
  // One after the other on one connection, which stays usable.
  const connection = await RawConnection.to(url);
  for (const [method, path, body, status, headers] of requests) {
    connection.request(method, path, {
      ...headers,
      'content-length': Buffer.byteLength(body),
      expect: '100-continue',
    });
    assert.equal((await connection.response())?.status, 100, path);
    connection.send(body);
    assert.equal((await connection.response())?.status, status, path);
  }
  connection.destroy();
});
