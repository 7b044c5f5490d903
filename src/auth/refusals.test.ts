// Each refused authentication is one event of the audit log.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { origin, TestBrowser } from '../../test/support/browser.ts';
import { administratorPassword, testRegistry } from '../../test/support/registry.ts';
import { createAccessToken } from '../administration/access-tokens.ts';
import { changeUser, createUser } from '../administration/users.ts';
import { listAuditEntries } from '../db/audit-events.ts';

const password = 'correct horse battery';
const basic = (name: string, secret: string) => ({ authorization: `Basic ${btoa(`${name}:${secret}`)}` });

async function setUp(t: TestContext) {
  const { app, database } = await testRegistry(t, { anonymous: 'none', externalUrl: origin });
  await createUser(database, { name: 'alice', password });
  await createUser(database, { name: 'bob' });
  const get = async (url: string, headers: Record<string, string> = {}) =>
    app.http.inject({ method: 'GET', url, headers });
  const post = async (form: Record<string, string>) =>
    app.http.inject({
      method: 'POST',
      url: '/auth/token',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: `${new URLSearchParams(form)}`,
    });
  let seen = 0;
  /** Waits for this many new refusals in the log, which is written twice a second, and returns them. */
  const refusals = async (wanted: number) => {
    for (;;) {
      const rows = (await listAuditEntries(database.read, {}, undefined, 1_000)).filter(
        ({ allowed }) => allowed === 0,
      );
      if (rows.length < seen + wanted) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        continue;
      }
      const fresh = rows.slice(seen);
      seen = rows.length;
      return fresh.map(({ action, actor_name, credential, error, request_id }) => {
        assert.ok(request_id);
        return [action, actor_name, credential, error];
      });
    }
  };
  return { database, browser: new TestBrowser(app.http), get, post, refusals };
}

test('records refused credentials for the metrics, and no request without credentials', async (t) => {
  const { get, refusals } = await setUp(t);
  assert.equal((await get('/metrics')).statusCode, 401);
  assert.equal((await get('/metrics', basic('admin', administratorPassword))).statusCode, 200);
  assert.equal((await get('/metrics', basic('admin', 'wrong'))).statusCode, 401);
  assert.equal((await get('/metrics', basic('alice', password))).statusCode, 403);
  assert.equal((await get('/metrics', { authorization: 'Bearer x' })).statusCode, 401);
  assert.deepEqual(await refusals(3), [
    ['metrics.read', 'admin', 'none', 'UNAUTHORIZED'],
    ['metrics.read', 'alice', 'password', 'DENIED'],
    ['metrics.read', '', 'none', 'UNAUTHORIZED'],
  ]);
});

test('records a refused refresh token with the name of the disabled user', async (t) => {
  const { database, get, post, refusals } = await setUp(t);
  const { id, token } = await createAccessToken(database, {
    owner: { kind: 'user', name: 'bob' },
    scopes: [],
    lifetime: null,
  });
  const offline = '/auth/token?service=berth&offline_token=true';
  const fetcher = async (name: string, secret: string) =>
    (await get(offline, basic(name, secret))).json().refresh_token as string;
  const byPassword = await fetcher('alice', password);
  const byToken = await fetcher('bob', token);
  for (const name of ['alice', 'bob']) await changeUser(database, name, { disabled: true });
  const refresh = async (refresh_token = '') =>
    (await post({ grant_type: 'refresh_token', refresh_token })).statusCode;
  assert.equal(await refresh(byPassword), 401);
  assert.equal(await refresh(byToken), 401);
  assert.equal(await refresh('made up'), 401);
  assert.equal((await get('/auth/token')).statusCode, 401);
  assert.deepEqual(await refusals(3), [
    ['login', 'alice', 'password', 'UNAUTHORIZED'],
    ['login', 'bob', `token:${id}`, 'UNAUTHORIZED'],
    ['login', '', 'none', 'UNAUTHORIZED'],
  ]);
});

test('records a form of another site', async (t) => {
  const { browser, refusals } = await setUp(t);
  await browser.post('/auth/sign-in', { username: 'alice', password });
  const forged = { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' };
  const answer = await browser.post('/auth/account/tokens', { name: 'x', days: '30' }, forged);
  assert.equal(answer.statusCode, 403);
  assert.deepEqual(await refusals(1), [['account.form', '', 'none', 'DENIED']]);
});
