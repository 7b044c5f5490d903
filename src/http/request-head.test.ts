import assert from 'node:assert/strict';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { RawConnection } from '../../test/faults/raw-connection.ts';
import { testRegistry } from '../../test/support/registry.ts';
import { refusalOfHead } from './request-head.ts';

function refusedHost(host: string | undefined): boolean {
  const request = new IncomingMessage(new Socket());
  Object.assign(request, { url: '/', httpVersion: '1.1' });
  if (host !== undefined) request.headers.host = host;
  return refusalOfHead(request) !== undefined;
}

for (const host of [
  ...['a', 'registry.test', 'registry.test:5000', 'registry_1.a-b.test.', 'localhost:', '127.0.0.1:65535'],
  ...['[::1]', '[::1]:443', '[::ffff:192.0.2.1]', 'a%C3%A9b', "!$&'()*+,;=~"],
]) {
  test(`Host: ${host} is valid`, () => assert.equal(refusedHost(host), false));
}

for (const host of [
  ...[undefined, '', ':80', 'a b', 'a, b', 'a@b', 'user:secret@b', 'a/b', 'a?b', 'a#b', 'a\\b', 'a<b>', 'é'],
  ...['[::1', '::1', '[::1]a', '[]', '[:::]', '[1::2::3]', '[v1.a]', '[fe80::1%25eth0]', 'a:b', 'a:1:2'],
  ...['a:65536', 'a:123456', 'a%', 'a%2', 'a%zz', '[a.b]'],
]) {
  test(`Host: ${host} is refused`, () => assert.equal(refusedHost(host), true));
}

test('an invalid host is refused again, also after valid ones', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('a', 'a:1', 'a b', '', 'b', '[::1]', '[::1')), (hosts) => {
      for (const host of hosts) assert.equal(refusedHost(host), ['a b', '', '[::1'].includes(host));
    }),
  );
});

const usual = 'Host: registry.test';
/** Below `/v2` and elsewhere. */
const places = ['/v2/', '/v2/a/tags/list', '/', '/healthz', '/auth/token', '/nowhere'];

type Row = [what: string, status: number, head: (path: string) => string];
const rows: Row[] = [
  ['two Host headers', 400, (path) => `GET ${path} HTTP/1.1\n${usual}\nHost: other.test`],
  ['the same Host twice', 400, (path) => `GET ${path} HTTP/1.1\n${usual}\n${usual}`],
  ['no Host', 400, (path) => `GET ${path} HTTP/1.1`],
  ['no Host and an absolute target', 400, (path) => `GET http://registry.test${path} HTTP/1.1`],
  ['an empty Host', 400, (path) => `GET ${path} HTTP/1.1\nHost:`],
  ['an invalid Host', 400, (path) => `GET ${path} HTTP/1.1\nHost: a b`],
  ['an invalid Host of HTTP/1.0', 400, (path) => `GET ${path} HTTP/1.0\nHost: a/b`],
  ['an invalid Host and an absolute target', 400, (path) => `GET http://a${path} HTTP/1.1\nHost: a b`],
  ['an invalid address', 400, (path) => `GET http://[::1${path} HTTP/1.1\n${usual}`],
  ['credentials in the target', 400, (path) => `GET http://a:b@registry.test${path} HTTP/1.1\n${usual}`],
  ...['gzip, chunked', 'x, CHUNKED', 'identity, chunked'].map(
    (coding): Row => [
      `Transfer-Encoding: ${coding}`,
      501,
      (path) => `POST ${path} HTTP/1.1\n${usual}\nTransfer-Encoding: ${coding}`,
    ],
  ),
  [
    'Transfer-Encoding in HTTP/1.0',
    400,
    (path) => `POST ${path} HTTP/1.0\nConnection: keep-alive\nTransfer-Encoding: chunked`,
  ],
];

test('an invalid request head is refused, below /v2 with an OCI error and elsewhere with a plain one', async (t) => {
  const { app } = await testRegistry(t, { anonymous: 'push' });
  const { url } = await app.listen();
  const ask = async (head: string, body = '') => {
    const connection = await RawConnection.to(url);
    t.after(() => connection.destroy());
    connection.send(`${head.replaceAll('\n', '\r\n')}\r\n\r\n${body}`);
    return { connection, answer: await connection.response() };
  };
  const check = async (what: string, head: string, status: number, isApi: boolean, body = '') => {
    const { connection, answer } = await ask(head, body);
    assert.equal(answer?.status, status, what);
    assert.match(answer.headers['content-type'] ?? '', /^application\/json/, what);
    const error = JSON.parse(answer.body.toString());
    if (isApi) assert.match(error.errors[0].code, /^(REQUEST_INVALID|NOT_IMPLEMENTED)$/, what);
    else
      assert.deepEqual([error.statusCode, Object.keys(error)], [status, ['statusCode', 'error', 'message']]);
    assert.ok(answer.headers['x-request-id'], what);
    return connection;
  };
  for (const [what, status, head] of rows) {
    for (const path of places) {
      const text = head(path);
      const body = text.includes('Transfer-Encoding') ? '0\r\n\r\n' : '';
      const connection = await check(`${what}: ${path}`, text, status, path.startsWith('/v2'), body);
      if (body !== '') await connection.closed;
    }
  }
  for (const target of ['*', 'ftp://registry.test/', 'http:///v2/', 'mailto:a']) {
    await check(target, `GET ${target} HTTP/1.1\n${usual}`, 400, false);
  }
  for (const method of ['QUERY', 'PROPFIND', 'TRACE', 'M-SEARCH']) {
    for (const path of ['/', '/healthz', '/auth/token', '/nowhere']) {
      await check(`${method} ${path}`, `${method} ${path} HTTP/1.1\n${usual}`, 501, false);
    }
    const { answer } = await ask(`${method} /v2/ HTTP/1.1\n${usual}`);
    assert.deepEqual([answer?.status, answer?.headers.allow], [405, 'GET, HEAD']);
    assert.match(String(answer?.body), /"UNSUPPORTED"/);
  }
  await check('CONNECT', `CONNECT registry.test:443 HTTP/1.1\n${usual}`, 501, false);

  // Valid heads are answered normally.
  for (const head of [
    `GET /v2/ HTTP/1.1\n${usual}`,
    'GET /v2/ HTTP/1.0',
    'GET http://registry.test/v2/ HTTP/1.0',
    'GET http://[::1]:5000/v2/ HTTP/1.1\nHost: other.test',
    `GET /healthz HTTP/1.1\nhOST:registry.test:5000`,
  ]) {
    assert.equal((await ask(head)).answer?.status, 200, head);
  }
  const chunked = `PUT /v2/a/manifests/b HTTP/1.1\n${usual}\nTransfer-Encoding: Chunked`;
  assert.match(String((await ask(chunked, '0\r\n\r\n')).answer?.body), /"MANIFEST_INVALID"/);
});
