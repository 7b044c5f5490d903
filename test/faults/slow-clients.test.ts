import assert from 'node:assert/strict';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { files } from '../../src/storage/files.ts';
import { openFilesystemStore } from '../../src/storage/filesystem.ts';
import { testRegistry } from '../support/registry.ts';
import { digestOf } from './consistency.ts';
import { descriptorsBackTo, eventually, openDescriptors } from './descriptors.ts';
import { RawConnection } from './raw-connection.ts';
import { finish, pullBlob, pushBlob, received, startUpload } from './uploading.ts';

const limits = { idleTimeout: '400ms', minimumRate: '1KiB' };

/** Sends `size` bytes every `interval` milliseconds until all are sent or the connection closes. */
async function trickle(
  connection: RawConnection,
  bytes: Buffer,
  size: number,
  interval: number,
): Promise<void> {
  for (let sent = 0; sent < bytes.length && connection.isOpen; sent += size) {
    connection.send(bytes.subarray(sent, sent + size));
    await delay(interval);
  }
}

const slownesses: [how: string, send: (connection: RawConnection, bytes: Buffer) => unknown][] = [
  ['stalls', (connection, bytes) => connection.send(bytes.subarray(0, 1_000))],
  ['trickles', (connection, bytes) => trickle(connection, bytes, 10, 50)],
];

for (const [how, send] of slownesses) {
  test(`an upload that ${how} gets 408 and can be resumed`, async (t) => {
    const { app } = await testRegistry(t, { limits });
    const { url } = await app.listen();
    const bytes = Buffer.alloc(100_000, 'slow');
    const session = await startUpload(url, 'a');
    const connection = await RawConnection.to(url);
    connection.request('PATCH', session.slice(url.length), { 'content-length': bytes.length });
    const sending = send(connection, bytes);
    const response = await connection.response();
    assert.equal(response?.status, 408);
    assert.match(response.body.toString(), /"REQUEST_TIMEOUT"/);
    await connection.closed;
    await sending;

    const have = (await received(session)) ?? 0;
    assert.ok(have > 0 && have < bytes.length);
    assert.equal((await finish(session, digestOf(bytes), bytes.subarray(have))).status, 201);
  });
}

test('a stalled manifest upload gets 408', async (t) => {
  const { app } = await testRegistry(t, { limits });
  const { url } = await app.listen();
  const connection = await RawConnection.to(url);
  connection.request('PUT', '/v2/a/manifests/latest', { 'content-length': 1_000 });
  connection.send('{"schemaVersion":2');
  assert.equal((await connection.response())?.status, 408);
  await connection.closed;
});

test('a steady upload that takes many times the limit is accepted', async (t) => {
  const { app } = await testRegistry(t, { limits });
  const { url } = await app.listen();
  const bytes = Buffer.alloc(16_000, 'steady');
  const connection = await RawConnection.to(url);
  connection.request('POST', `/v2/a/blobs/uploads/?digest=${digestOf(bytes)}`, {
    'content-length': bytes.length,
  });
  await trickle(connection, bytes, 200, 25);
  assert.equal((await connection.response())?.status, 201);
  connection.destroy();
});

test('no timeout of the HTTP server ends a steady request', async (t) => {
  const { app } = await testRegistry(t);
  const server = app.http.server as Server;
  assert.equal(server.requestTimeout, 0);
  assert.equal(server.timeout, 0);
  // Connections without a request are still closed.
  assert.ok(server.headersTimeout > 0 && server.headersTimeout <= 60_000);
});

test('a client that waits for a slow disk gets no timeout', async (t) => {
  const { app } = await testRegistry(t, { limits }, async (data) => ({
    store: await openFilesystemStore(data, {
      ...files,
      writev: (fd, buffers, position) => delay(450).then(() => files.writev(fd, buffers, position)),
      fsync: (async (fd: number) => {
        await delay(450);
        await files.fsync(fd);
      }) as typeof files.fsync,
    }),
  }));
  const { url } = await app.listen();
  await pushBlob(url, 'a', Buffer.alloc(5 << 20, 'fast'));
});

test('a slow reader gets the whole blob', async (t) => {
  const { app } = await testRegistry(t, { limits: { ...limits, idleTimeout: '2s' } });
  const { url } = await app.listen();
  const digest = await pushBlob(url, 'a', Buffer.alloc(12 << 20, 'read slowly'));
  const size = 12 << 20;
  let read = 0;
  const { hostname, port } = new URL(url);
  const socket = connect({
    host: hostname,
    port: Number(port),
    // Reads 64 KiB after each resume.
    onread: {
      buffer: Buffer.alloc(64 << 10),
      callback: (bytes) => {
        read += bytes;
        return false;
      },
    },
  });
  socket.write(`GET /v2/a/blobs/${digest} HTTP/1.1\r\nHost: registry.test\r\nConnection: close\r\n\r\n`);
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  const reading = setInterval(() => socket.resume(), 20);
  await closed;
  clearInterval(reading);
  assert.ok(read > size, `${read} bytes of more than ${size}`);
});

test('a stalled reader is disconnected, and its file is closed', async (t) => {
  const { app, data } = await testRegistry(t, { limits });
  const { url } = await app.listen();
  const digest = await pushBlob(url, 'a', Buffer.alloc(64 << 20, 'never read'));
  await pullBlob(url, 'a', digest);
  const open = openDescriptors(data);
  const before = await connections(app.http.server as Server);
  const connection = await RawConnection.to(url);
  connection.socket.pause();
  connection.request('GET', `/v2/a/blobs/${digest}`);
  assert.ok(await eventually(() => openDescriptors(data) > open));
  assert.ok(await eventually(async () => (await connections(app.http.server as Server)) === before));
  await descriptorsBackTo(open, data);
  connection.destroy();
});

function connections(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
  });
}
