// The registry ends every kind of request that its client does not finish, and keeps none in memory: on both listeners, with and
// without TLS, for every URL.
import assert from 'node:assert/strict';
import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { makeCertificate } from '../support/certificate.ts';
import { basic } from '../support/people.ts';
import { administratorPassword, testRegistry } from '../support/registry.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { RawConnection } from './raw-connection.ts';

/** Milliseconds; a connection that lasts longer was not closed by any limit. */
const patience = 30_000;
/** The most bytes that may be read of a request: its head, and an unwanted body or a form. */
const mostBytes = 1_100_000;

const authorization = String(basic('admin', administratorPassword).authorization);
const form = 'content-type: application/x-www-form-urlencoded';
const megabyte = 'content-length: 1048576';
const chunked = 'transfer-encoding: chunked';
const expect = 'expect: 100-continue';
const body = Buffer.alloc(1_048_575, 'x');
const chunk = '10000\r\n';

function head(requestLine: string, ...headers: string[]): string {
  return `${requestLine} HTTP/1.1\r\n${['host: registry.test', ...headers].join('\r\n')}\r\n\r\n`;
}

type Send = (connection: RawConnection) => unknown;

const say =
  (...parts: (string | Buffer)[]): Send =>
  (connection) => {
    for (const part of parts) connection.send(part);
  };

/** Repeats `piece` until the connection closes. */
function drip(start: string, piece: string | Buffer): Send {
  return (connection) => {
    connection.send(start);
    const timer = setInterval(() => {
      if (!connection.socket.writableNeedDrain) connection.send(piece);
    }, 20);
    connection.socket.on('close', () => clearInterval(timer));
  };
}

const ofBoth: Readonly<Record<string, Send>> = {
  nothing: () => {},
  'half of a request line': say('GET /v2'),
  'half of a head': say('GET /v2/ HTTP/1.1\r\nHost: registry'),
  'a head, letter by letter': drip('GET /v2/ HTTP/1.1\r\nHost: ', 'x'),
  'a body to an unknown path, without its last byte': say(head('POST /nowhere', megabyte), body),
  'a JSON body to an unknown path': say(
    head('POST /nowhere', megabyte, 'content-type: application/json'),
    body,
  ),
  'a chunked body to an unknown path': say(head('PUT /nowhere', chunked), chunk, body.subarray(0, 1000)),
  'a body to an unknown path, with 100-continue': say(head('POST /nowhere', megabyte, expect)),
  'a body to the metrics': say(head('GET /metrics', megabyte), 'x'),
  'a body to the health': say(head('GET /healthz', chunked), chunk),
  'a POST to the health': say(head('POST /healthz', megabyte), body),
  'half of a second request': say(head('GET /healthz'), 'GET /healthz HTTP/1.1\r\n'),
  'a body after a half-close': (connection) => {
    connection.send(head('POST /nowhere', megabyte));
    connection.socket.end('x');
  },
  'an endless body to an unknown path': drip(head('POST /nowhere', 'content-length: 1000000000'), body),
  'an endless chunked body to an unknown path': drip(
    head('POST /nowhere', chunked),
    `10000\r\n${'x'.repeat(65_536)}\r\n`,
  ),
};

const ofRegistry: Readonly<Record<string, Send>> = {
  'a form for a token': say(head('POST /auth/token', form, 'content-length: 1000'), 'grant_type='),
  'a chunked form for a token': say(head('POST /auth/token', form, chunked), chunk, 'grant_type='),
  'a form for a token, letter by letter': drip(head('POST /auth/token', form, 'content-length: 60000'), 'x'),
  'a form for a token, with 100-continue': say(head('POST /auth/token', form, 'content-length: 9', expect)),
  'an endless form for a token': drip(
    head('POST /auth/token', form, chunked),
    `10000\r\n${'x'.repeat(65_536)}\r\n`,
  ),
  'an endless form to sign in': drip(
    head('POST /auth/sign-in', form, chunked),
    `10000\r\n${'x'.repeat(65_536)}\r\n`,
  ),
  'a body of another kind for a token': say(head('POST /auth/token', megabyte), body),
  'a body with a GET of a token': say(head('GET /auth/token', megabyte), body),
  'a form to sign in': say(head('POST /auth/sign-in', form, 'content-length: 1000'), 'username='),
  'a chunked form to sign in': say(head('POST /auth/sign-in', form, chunked), chunk, 'username='),
  'a form to sign out': say(head('POST /auth/sign-out', form, 'content-length: 1000'), 'form='),
  'a body to a page': say(head('GET /auth/account', megabyte), body),
  'a manifest': say(head('PUT /v2/a/manifests/v1', megabyte, `authorization: ${authorization}`), body),
  'a body to the API without rights': say(head('PUT /v2/a/manifests/v1', megabyte), body),
  'a body to an unknown route of the API': say(head('POST /v2/nowhere', megabyte), body),
  'a body with a GET of the API': say(head('GET /v2/', chunked), chunk),
};

/** The server's sockets of the connections that it has accepted or will accept, by the client's port. */
const serverSockets = new Map<number, PromiseWithResolvers<Socket>>();
function serverSocketOf(port: number): PromiseWithResolvers<Socket> {
  const socket = serverSockets.get(port) ?? Promise.withResolvers<Socket>();
  serverSockets.set(port, socket);
  return socket;
}
subscribe('net.server.socket', (message) => {
  const { socket } = message as { socket: Socket };
  serverSocketOf(socket.remotePort as number).resolve(socket);
});

async function listen(
  t: TestContext,
  settings: object = {},
): Promise<{ url: string; operationsUrl: string }> {
  const { app } = await testRegistry(t, {
    anonymous: 'public',
    manifests: { missingReferences: 'all' },
    operations: { listen: '127.0.0.1:0' },
    limits: { idleTimeout: '500ms' },
    ...settings,
  });
  const { url, operationsUrl } = await app.listen();
  return { url, operationsUrl: operationsUrl as string };
}

/** Sends all kinds of request at once, each on its own connection and in its own test. */
async function endsAll(t: TestContext, url: string, kinds: Readonly<Record<string, Send>>): Promise<void> {
  const run = async (send: Send): Promise<void> => {
    const connection = await RawConnection.to(url);
    const end = await serverSocketOf(connection.socket.localPort as number).promise;
    // On a loaded machine a limit may end the connection before this line.
    const closed = end.closed ? undefined : new Promise((resolve) => end.once('close', resolve));
    void send(connection);
    // Only the server's socket shows the close of a paused connection.
    const late = setTimeout(() => end.destroy(new Error('the connection stays open')), patience);
    await closed;
    clearTimeout(late);
    connection.destroy();
    assert.ok(end.errored?.message !== 'the connection stays open', 'the connection stays open');
    assert.ok(end.bytesRead <= mostBytes, `${end.bytesRead} bytes were read`);
  };
  await Promise.all(Object.entries(kinds).map(([what, send]) => t.test(what, () => run(send))));
}

const concurrency = 100;

test("every unfinished request on the registry's listener is ended", { concurrency }, async (t) => {
  const { url } = await listen(t);
  await endsAll(t, url, {
    ...ofBoth,
    ...ofRegistry,
    'many requests whose answers are not read': await manyManifests(url),
  });
});

test("every unfinished request on the registry's listener with TLS is ended", { concurrency }, async (t) => {
  const tls = makeCertificate(await temporaryDirectory(t));
  const { url } = await listen(t, { tls });
  await endsAll(t, url, { ...ofBoth, ...ofRegistry });
  const { hostname, port } = new URL(url);
  for (const [what, bytes] of [
    ['no handshake', ''],
    ['the beginning of a handshake', '\x16\x03\x01\x02\x00\x01'],
  ] as const) {
    await t.test(what, async () => {
      const socket = connect(Number(port), hostname).on('error', () => {});
      socket.write(Buffer.from(bytes, 'latin1'));
      socket.resume();
      await once(socket, 'close');
    });
  }
});

test('every unfinished request on the listener for health and metrics is ended', {
  concurrency,
}, async (t) => {
  const { operationsUrl } = await listen(t);
  await endsAll(t, operationsUrl, ofBoth);
});

/** Requests a large manifest more often than the socket buffers can hold its answers, and reads nothing. */
async function manyManifests(url: string): Promise<Send> {
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [],
    annotations: { padding: 'x'.repeat(2 << 20) },
  });
  const headers = { authorization, 'content-type': 'application/vnd.oci.image.index.v1+json' };
  const path = '/v2/admin/app/manifests/v1';
  const pushed = await fetch(url + path, { method: 'PUT', headers, body: manifest });
  assert.equal(pushed.status, 201, await pushed.text());
  return (connection) => {
    connection.socket.pause();
    connection.send(head(`GET ${path}`, `authorization: ${authorization}`).repeat(100));
  };
}
