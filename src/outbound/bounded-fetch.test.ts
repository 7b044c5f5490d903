import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { cleanUp } from '../../test/support/cleanup.ts';
import { boundedFetch, defaultBounds, isTrustworthy } from './bounded-fetch.ts';

/** A server with the given answer; returns its URL and the requests it received. */
async function serve(t: TestContext, answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const asked: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    asked.push(request);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUp(t, () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, asked };
}

for (const [url, trustworthy] of [
  ['https://example.com', true],
  ['https://192.0.2.1:8443/a', true],
  ['http://localhost:8080', true],
  ['http://127.0.0.1', true],
  ['http://127.1.22.133', true],
  ['http://127.1', true],
  ['http://0x7f000001', true],
  ['http://[::1]', true],
  ['http://[0:0::1]', true],
  ['http://example.com', false],
  ['http://128.0.0.1', false],
  ['http://10.127.0.1', false],
  ['http://127.0.0.1.example', false],
  ['http://localhost.example', false],
  ['http://[::2]', false],
  ['http://[::ffff:127.0.0.1]', false],
  ['ftp://127.0.0.1', false],
  ['ftp://localhost', false],
  ['file:///etc/passwd', false],
  ['data:,x', false],
] as const) {
  test(`${url} ${trustworthy ? 'is trusted' : 'gets no request'}`, async () => {
    assert.equal(isTrustworthy(new URL(url)), trustworthy);
    if (!trustworthy) {
      await assert.rejects(boundedFetch(url), {
        name: 'FetchRefused',
        message: `${url} is neither https nor http to this machine`,
      });
    }
  });
}

test('returns status, headers and body, and sends the given request', async (t) => {
  const { url, asked } = await serve(t, (_request, response) => {
    response.writeHead(418, 'Teapot', { 'content-type': 'text/plain', 'x-kind': 'tea' });
    response.write('one ');
    response.end('two');
  });
  const response = await boundedFetch(url, { method: 'POST', headers: { accept: 'x/y' }, body: 'a' });
  assert.deepEqual([response.status, response.statusText], [418, 'Teapot']);
  assert.equal(response.headers.get('x-kind'), 'tea');
  assert.equal(await response.text(), 'one two');
  assert.deepEqual([asked[0]?.method, asked[0]?.headers.accept], ['POST', 'x/y']);
});

for (const status of [204, 205, 304]) {
  test(`accepts ${status} without a body`, async (t) => {
    const { url } = await serve(t, (_request, response) => response.writeHead(status).end());
    const response = await boundedFetch(url);
    assert.deepEqual([response.status, response.body], [status, null]);
  });
}

test('the answer to HEAD has no body', async (t) => {
  const { url } = await serve(t, (_request, response) => response.end('x'));
  assert.equal(await (await boundedFetch(url, { method: 'HEAD' })).text(), '');
});

test('never follows a redirect', async (t) => {
  const { url, asked } = await serve(t, (_request, response) =>
    response.writeHead(302, { location: '/elsewhere' }).end(),
  );
  assert.equal((await boundedFetch(url, { redirect: 'follow' })).status, 302);
  assert.equal(asked.length, 1);
});

test('accepts a body of exactly the limit; refuses one byte more and stops reading', async (t) => {
  let closed: Promise<unknown> | undefined;
  const { url } = await serve(t, (request, response) => {
    closed = new Promise((resolve) => response.on('close', resolve));
    response.write('x'.repeat(9));
    if (request.url === '/exact') response.end('x');
    else response.write('xx');
  });
  const bounds = { ...defaultBounds, limit: 10 };
  assert.equal((await (await boundedFetch(`${url}exact`, {}, bounds)).text()).length, 10);
  await assert.rejects(boundedFetch(`${url}more`, {}, bounds), {
    name: 'FetchRefused',
    message: `the document at ${url}more has more than 10 bytes`,
  });
  await closed;
});

test('stops at the timeout, even while bytes still arrive', async (t) => {
  const { url } = await serve(t, (_request, response) => {
    const timer = setInterval(() => response.write('x'), 10);
    response.on('close', () => clearInterval(timer));
  });
  await assert.rejects(boundedFetch(url, {}, { ...defaultBounds, timeout: 50 }), { name: 'TimeoutError' });
});

test('the caller can abort the request', async (t) => {
  const { url } = await serve(t, (_request, response) => response.write('x'));
  await assert.rejects(boundedFetch(url, { signal: AbortSignal.timeout(10) }, defaultBounds), {
    name: 'TimeoutError',
  });
});

test('the default bounds are 5 seconds and 512 KiB', () => {
  assert.deepEqual(defaultBounds, { timeout: 5_000, limit: 524_288 });
});
