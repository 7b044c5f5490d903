// Every answered request has one line in the access log, with its client and the request ID of its answer.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { LightMyRequestResponse } from 'fastify';
import { RawConnection } from '../../test/faults/raw-connection.ts';
import { origin, TestBrowser } from '../../test/support/browser.ts';
import { basic } from '../../test/support/people.ts';
import { administratorPassword, type ConfigInput, testRegistry } from '../../test/support/registry.ts';
import { openFilesystemStore } from '../storage/filesystem.ts';
import { createLogger } from '../telemetry/log.ts';

type Line = Readonly<Record<string, unknown>>;

const log = { level: 'debug', format: 'json', access: true } as const;
const admin = basic('admin', administratorPassword);

/** A registry and its log. */
async function setUp(t: TestContext, settings: ConfigInput = {}) {
  const written: Line[] = [];
  const logger = createLogger(log, { write: (line) => void written.push(JSON.parse(line)) });
  const { app } = await testRegistry(t, { anonymous: 'public', log, ...settings }, async () => ({ logger }));
  return {
    app,
    /** The lines about requests since the last call. */
    lines: () => written.splice(0).filter(({ status }) => status !== undefined),
  };
}

function summaryOf({ level, action, status, user, credential, error }: Line) {
  return [level, action, status, user, credential, error];
}

test('each kind of request has one line, with its id, its client and its account', async (t) => {
  const { app, lines } = await setUp(t);
  const claimed = basic('mallory', 'wrong');
  for (const [method, url, headers, ...summary] of [
    ['GET', '/v2/', admin, 'info', 'getBase', 200, 'admin', 'password', undefined],
    ['GET', '/v2/', {}, 'info', 'getBase', 401, undefined, undefined, 'UNAUTHORIZED'],
    ['GET', '/v2/', claimed, 'info', 'getBase', 401, undefined, undefined, 'UNAUTHORIZED'],
    ['GET', '/v2/%zz', {}, 'info', undefined, 404, undefined, undefined, 'NAME_UNKNOWN'],
    ['GET', '/%zz', {}, 'info', undefined, 404, undefined, undefined, undefined],
    ['GET', '/nowhere', {}, 'info', undefined, 404, undefined, undefined, undefined],
    ['DELETE', '/healthz', {}, 'info', undefined, 404, undefined, undefined, undefined],
    ['GET', '/healthz', {}, 'debug', 'getHealthz', 200, undefined, undefined, undefined],
    ['GET', '/readyz', {}, 'debug', 'getReadyz', 200, undefined, undefined, undefined],
    ['GET', '/metrics', admin, 'debug', 'getMetrics', 200, 'admin', 'password', undefined],
    ['GET', '/metrics', {}, 'info', 'getMetrics', 401, undefined, undefined, 'UNAUTHORIZED'],
    ['GET', '/metrics', claimed, 'info', 'getMetrics', 401, undefined, undefined, 'UNAUTHORIZED'],
    ['GET', '/auth/token', admin, 'info', 'getToken', 200, 'admin', 'password', undefined],
    ['GET', '/auth/token', {}, 'info', 'getToken', 200, undefined, undefined, undefined],
    ['POST', '/auth/token', {}, 'info', 'postToken', 400, undefined, undefined, 'UNSUPPORTED'],
    ['GET', '/auth/sign-in', {}, 'info', 'getSignIn', 200, undefined, undefined, undefined],
    ['GET', '/auth/account', {}, 'info', 'getAccount', 303, undefined, undefined, undefined],
  ] as const) {
    const answer: LightMyRequestResponse = await app.http.inject({ method, url, headers });
    const [line, ...more] = lines();
    const what = `${method} ${url}`;
    assert.deepEqual(more, [], what);
    assert.deepEqual(summaryOf(line as Line), summary, what);
    const { requestId, remote, sent } = line as Line;
    assert.deepEqual([requestId, remote], [answer.headers['x-request-id'], '127.0.0.1'], what);
    assert.equal(sent, answer.rawPayload.length, what);
    assert.equal((line as Line).url, url);
  }
});

test('lines of pages name the signed-in account', async (t) => {
  const { app, lines } = await setUp(t, { externalUrl: origin });
  const browser = new TestBrowser(app.http);
  await browser.post('/auth/sign-in', { username: 'admin', password: 'wrong' });
  assert.deepEqual(summaryOf(lines()[0] as Line).slice(1, 4), ['postSignIn', 401, undefined]);
  await browser.post('/auth/sign-in', { username: 'admin', password: administratorPassword });
  const [signIn] = lines();
  assert.deepEqual(summaryOf(signIn as Line).slice(1, 5), ['postSignIn', 303, 'admin', 'password']);
  assert.equal((signIn as Line).received, `username=admin&password=${administratorPassword}`.length);
  await browser.get('/auth/account');
  assert.deepEqual(summaryOf(lines()[0] as Line).slice(1, 4), ['getAccount', 200, 'admin']);
});

test('the listener for health and metrics logs its requests too', async (t) => {
  const { app, lines } = await setUp(t, { operations: { listen: '127.0.0.1:0' } });
  const { operationsUrl } = await app.listen();
  for (const [path, ...summary] of [
    ['/healthz', 'debug', 'getHealthz', 200],
    ['/metrics', 'debug', 'getMetrics', 200],
    ['/nowhere', 'info', undefined, 404],
    ['/%zz', 'info', undefined, 404],
  ] as const) {
    const answer = await fetch(`${operationsUrl}${path}`);
    const [line, ...more] = lines();
    assert.deepEqual([more, summaryOf(line as Line).slice(0, 3)], [[], summary], path);
    assert.equal((line as Line).requestId, answer.headers.get('x-request-id'));
  }
});

test('malformed input is answered and logged; an unused connection is not', async (t) => {
  const { app, lines } = await setUp(t);
  const { url } = await app.listen();
  for (const [bytes, status] of [
    ['GARBAGE\r\n\r\n', 400],
    [`GET /v2/ HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
  ] as const) {
    const connection = await RawConnection.to(url);
    connection.send(bytes);
    const answer = await connection.response();
    await connection.closed;
    const [line, ...more] = lines();
    assert.deepEqual(more, []);
    assert.equal(answer?.status, status);
    const { method, url: path, requestId, remote } = line as Line;
    assert.deepEqual([line?.status, method, path], [status, undefined, undefined]);
    assert.deepEqual([requestId, remote], [answer.headers['x-request-id'], '127.0.0.1']);
  }
  const unused = await RawConnection.to(url);
  unused.socket.end();
  await unused.closed;
  assert.deepEqual(lines(), []);
});

test('a client that disconnects before its form is complete is logged', async (t) => {
  const { app, lines } = await setUp(t);
  const { url } = await app.listen();
  const connection = await RawConnection.to(url);
  connection.request('POST', '/auth/token', {
    'content-type': 'application/x-www-form-urlencoded',
    'content-length': 100,
    expect: '100-continue',
  });
  assert.equal((await connection.response())?.status, 100);
  connection.send('grant_type=');
  connection.socket.resetAndDestroy();
  let found: Line[] = [];
  while (found.length === 0) {
    await new Promise(setImmediate);
    found = lines();
  }
  assert.deepEqual(
    found.map(({ action, status, remote }) => [action, status, remote]),
    [['postToken', 499, '127.0.0.1']],
  );
});

test('an internal error is logged with its request ID', async (t) => {
  const written: Line[] = [];
  const logger = createLogger(log, { write: (line) => void written.push(JSON.parse(line)) });
  const ping = () => Promise.reject(new Error('no disk'));
  const { app } = await testRegistry(t, { log }, async (data) => ({
    logger,
    store: { ...(await openFilesystemStore(data)), ping },
  }));
  const answer = await app.http.inject({ url: '/readyz' });
  const warning = written.find(({ msg }) => msg === 'not ready');
  assert.equal(warning?.requestId, answer.headers['x-request-id']);
});
