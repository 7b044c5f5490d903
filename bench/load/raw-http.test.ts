import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { floodHead, pull } from './raw-http.ts';

/** A server that answers a request with `pieces`, one write after the other, and closes the connection. */
async function answering(...pieces: string[]) {
  const server = createServer({ noDelay: true }, (socket: Socket) => {
    socket.once('data', async () => {
      for (const piece of pieces) await new Promise((written) => socket.write(piece, written));
      socket.end();
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/blob`);
  return { url, [Symbol.asyncDispose]: async () => void (await once(server.close(), 'close')) };
}

test('pull counts only the body, wherever the head is split', async () => {
  await using server = await answering('HTTP/1.1 200 OK\r\nContent-Len', 'gth: 6\r\n\r', '\nabc', 'def');
  assert.equal(await pull(server.url), 6);
});

test('pull rejects a body that is shorter than its Content-Length', async () => {
  await using server = await answering('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc');
  await assert.rejects(pull(server.url), /3 bytes of 6/);
});

test('pull rejects any other status', async () => {
  await using server = await answering('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n');
  await assert.rejects(pull(server.url), /404 Not Found/);
});

test('a flood of HEAD stops at the first refusal', async () => {
  await using server = await answering('HTTP/1.1 503 Service Unavailable\r\nContent-Length: 6\r\n\r\n');
  await assert.rejects(floodHead(server.url, 1, 60), /503 Service Unavailable/);
});

test('a flood of HEAD rejects a connection that closes early', async () => {
  await using server = await answering('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n');
  await assert.rejects(floodHead(server.url, 1, 60), /closed early|ECONNRESET|EPIPE/);
});
