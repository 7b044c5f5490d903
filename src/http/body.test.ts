import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { RegistryError } from '../oci/errors.ts';
import { acceptBody, announcesBody, closeAfterRefusal, readBody } from './body.ts';

const limit = 1000;

/** A request for body tests: a stream with headers. */
function request(headers: Record<string, string> = {}): PassThrough & IncomingMessage {
  return Object.assign(new PassThrough(), { headers }) as unknown as PassThrough & IncomingMessage;
}

function read(from: IncomingMessage, signal = new AbortController().signal) {
  let received = 0;
  const body = readBody(from, limit, {
    empty: false,
    open: () => from,
    signal,
    received: (bytes) => {
      received += bytes;
    },
  });
  return { body, received: () => received };
}

for (const [version, headers, continues] of [
  ['1.1', { expect: '100-continue' }, true],
  // RFC 9110, 10.1.1: the expectation of an HTTP/1.0 request MUST be ignored.
  ['1.0', { expect: '100-continue' }, false],
  ['1.1', {}, false],
] as const) {
  test(`HTTP/${version} ${JSON.stringify(headers)} gets ${continues ? '' : 'no '}100 Continue`, async (t) => {
    const server = createServer((request, response) => {
      acceptBody(request, response);
      response.end();
    });
    server.on('checkContinue', (request, response) => server.emit('request', request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const lines = Object.entries({ host: 'a', connection: 'close', ...headers }).map((pair) =>
      pair.join(': '),
    );
    socket.end(`PUT / HTTP/${version}\r\n${lines.join('\r\n')}\r\n\r\n`);
    const [status] = Buffer.concat(await socket.toArray())
      .toString()
      .split('\r\n');
    assert.equal(status, continues ? 'HTTP/1.1 100 Continue' : 'HTTP/1.1 200 OK');
  });
}

for (const [what, headers, expected] of [
  ['a length', { 'content-length': '5' }, true],
  ['a length of 0', { 'content-length': '0' }, false],
  ['chunks', { 'transfer-encoding': 'chunked' }, true],
  ['neither', {}, false],
] as const) {
  test(`a request with ${what} announces ${expected ? 'a' : 'no'} body`, () => {
    assert.equal(announcesBody(request(headers)), expected);
  });
}

for (const [what, length] of [
  ['with a Content-Length', true],
  ['in chunks', false],
] as const) {
  const announced = (size: number): Record<string, string> => (length ? { 'content-length': `${size}` } : {});

  test(`a body ${what} of exactly the limit is read whole`, async () => {
    const from = request(announced(limit));
    const { body, received } = read(from);
    for (const part of [1, 499, 500]) from.write(Buffer.alloc(part, part % 7));
    from.end();
    const expected = Buffer.concat([1, 499, 500].map((part) => Buffer.alloc(part, part % 7)));
    assert.ok((await body).equals(expected));
    assert.equal(received(), limit);
  });

  test(`a body ${what} of one byte over the limit is MANIFEST_TOO_LARGE`, async () => {
    const from = request(announced(limit + 1));
    const { body } = read(from);
    from.write(Buffer.alloc(limit + 1));
    await assert.rejects(body, { code: 'MANIFEST_TOO_LARGE' });
  });
}

test('a Content-Length beyond the limit is refused before a byte is read', async () => {
  const { body, received } = read(request({ 'content-length': '10000000000' }));
  await assert.rejects(body, { code: 'MANIFEST_TOO_LARGE' });
  assert.equal(received(), 0);
});

test('bytes beyond the limit are not kept', async () => {
  const from = request();
  const { body, received } = read(from);
  from.write(Buffer.alloc(limit + 1));
  await assert.rejects(body);
  from.end(Buffer.alloc(10 * limit));
  from.resume();
  await once(from, 'end');
  assert.equal(received(), limit + 1);
});

test('a missing body is read as zero bytes', async () => {
  const from = request();
  from.end();
  assert.equal((await read(from).body).length, 0);
});

test('a body that ended before it was read is zero bytes', async () => {
  const from = request();
  from.end();
  from.resume();
  await once(from, 'end');
  assert.equal((await read(from).body).length, 0);
});

for (const [what, cut] of [
  ['breaks off', (from: PassThrough) => from.destroy()],
  ['breaks off with an error', (from: PassThrough) => from.destroy(new Error('aborted'))],
] as const) {
  test(`a body that ${what} is SIZE_INVALID`, async () => {
    const from = request({ 'content-length': '10' });
    const { body } = read(from);
    from.write('12345');
    cut(from);
    await assert.rejects(body, { code: 'SIZE_INVALID' });
  });
}

test('a request that was destroyed before it was read is SIZE_INVALID', async () => {
  const from = request();
  from.destroy();
  await once(from, 'close');
  await assert.rejects(read(from).body, { code: 'SIZE_INVALID' });
});

test('a body that is aborted as too slow rejects with the reason, and no listener remains', async () => {
  const from = request();
  const slow = new AbortController();
  const { body } = read(from, slow.signal);
  from.write('1');
  slow.abort(new RegistryError('REQUEST_TIMEOUT'));
  await assert.rejects(body, { code: 'REQUEST_TIMEOUT' });
  assert.equal(from.listenerCount('data'), 0);
  // A later error of the request must not crash the process.
  from.destroy(new Error('late'));
  await new Promise((resolve) => from.on('close', resolve));
});

/** A server that handles every request with `handle`, and a socket to it. */
async function connected(
  t: TestContext,
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Socket> {
  const server = createServer(handle).on('checkContinue', handle);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  t.after(() => {
    socket.destroy();
    server.close();
  });
  await once(socket, 'connect');
  return socket;
}

test('a client that waits for 100 Continue gets it when its body is accepted', async (t) => {
  const socket = await connected(t, async (request, response) => {
    acceptBody(request, response);
    const body = await readBody(request, limit, {
      empty: false,
      open: () => request,
      signal: new AbortController().signal,
      received: () => {},
    });
    response.end(body);
  });
  socket.write('PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n');
  const [interim] = (await once(socket, 'data')) as [Buffer];
  assert.match(interim.toString(), /^HTTP\/1.1 100 Continue\r\n\r\n$/);
  socket.write('ok');
  const [answer] = (await once(socket, 'data')) as [Buffer];
  assert.match(answer.toString(), /^HTTP\/1.1 200 OK[\s\S]*\r\n\r\nok$/);
});

test('a refused body: the answer arrives, no 100 Continue before it, and the connection ends within 1 MiB', async (t) => {
  let served: Socket | undefined;
  const socket = await connected(t, (request, response) => {
    served = request.socket;
    closeAfterRefusal(request, response);
    response.writeHead(413, { 'Content-Length': 2 }).end('no');
  });
  socket.on('error', () => {});
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk;
  });
  socket.write('PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n');
  const flood = setInterval(() => socket.write(Buffer.alloc(64 << 10)), 0);
  t.after(() => clearInterval(flood));
  // Not once(): a write to a closed connection fails as expected.
  await new Promise((resolve) => socket.on('close', resolve));
  assert.match(answer, /^HTTP\/1.1 413 [\s\S]*Connection: close[\s\S]*no$/);
  assert.ok(
    (served?.bytesRead ?? Number.POSITIVE_INFINITY) < 1 << 20,
    `${served?.bytesRead} bytes were read`,
  );
});

test('a refused body that arrives after the answer is discarded, and the connection ends without a reset', async (t) => {
  let answered = (): void => {};
  const finished = new Promise<void>((resolve) => {
    answered = resolve;
  });
  const socket = await connected(t, (request, response) => {
    closeAfterRefusal(request, response);
    response.once('finish', answered);
    response.writeHead(401, { 'Content-Length': 2 }).end('no');
  });
  socket.write(`PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: ${256 << 10}\r\n\r\n`);
  await finished;
  for (let sent = 0; sent < 256; sent += 64) {
    const written = promisify(socket.write.bind(socket) as (data: Buffer, done: () => void) => void);
    await written(Buffer.alloc(64 << 10));
    // Time for a reset to arrive.
    await new Promise(setImmediate);
  }
  const answer = Buffer.concat(await socket.toArray()).toString();
  assert.match(answer, /^HTTP\/1.1 401 [\s\S]*Connection: close[\s\S]*no$/);
});
