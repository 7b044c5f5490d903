// Sessions, and the tokens created in them, end with the credential that began the session, in a whole registry.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { origin, TestBrowser } from '../../test/support/browser.ts';
import { testRegistry } from '../../test/support/registry.ts';
import { createAccessToken, revokeAccessToken } from '../administration/access-tokens.ts';
import { changeUser, createUser } from '../administration/users.ts';

const password = 'correct horse battery';
const hour = 3_600_000;

async function setUp(t: TestContext) {
  const { app, database } = await testRegistry(t, { anonymous: 'none', externalUrl: origin });
  await createUser(database, { name: 'alice', password });
  const browser = new TestBrowser(app.http);
  const signIn = async (secret: string) => {
    const answer = await browser.post('/auth/sign-in', { username: 'alice', password: secret });
    assert.equal(answer.statusCode, 303, answer.body);
  };
  const mint = async (days: string): Promise<string> => {
    const made = await browser.post('/auth/account/tokens', {
      form: await browser.formToken(),
      name: 'laptop',
      days,
    });
    const [token] = /brth_\w{46}/.exec(made.body) ?? [];
    assert.ok(token, made.body);
    return token;
  };
  const isSignedIn = async () => (await browser.get('/auth/account')).statusCode === 200;
  const status = async (secret: string, http = app.http): Promise<number> => {
    const headers = { authorization: `Basic ${btoa(`alice:${secret}`)}` };
    return (await http.inject({ method: 'GET', url: '/v2/', headers })).statusCode;
  };
  const refreshToken = async (secret: string): Promise<string> => {
    const headers = { authorization: `Basic ${btoa(`alice:${secret}`)}` };
    const url = '/auth/token?service=berth&offline_token=true';
    return (await app.http.inject({ method: 'GET', url, headers })).json().refresh_token;
  };
  const refresh = async (token: string): Promise<number> => {
    const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token, service: 'berth' });
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    return (await app.http.inject({ method: 'POST', url: '/auth/token', headers, payload: `${body}` }))
      .statusCode;
  };
  return { database, browser, signIn, mint, isSignedIn, status, refreshToken, refresh };
}

const tokenOf = (lifetime: number | null) =>
  ({ owner: { kind: 'user', name: 'alice' }, scopes: [], lifetime }) as const;

test('restricting a user to tokens ends sessions of the password, their tokens and refresh tokens', async (t) => {
  const { database, signIn, mint, isSignedIn, status, refreshToken, refresh } = await setUp(t);
  await signIn(password);
  const token = await mint('never');
  const fetcher = await refreshToken(token);
  assert.deepEqual([await isSignedIn(), await status(token), await refresh(fetcher)], [true, 200, 200]);
  await changeUser(database, 'alice', { tokenOnly: true });
  assert.deepEqual([await isSignedIn(), await status(token), await refresh(fetcher)], [false, 401, 401]);
});

test('disabling password login ends everything that began with a password', async (t) => {
  const { database, browser, signIn, mint, status } = await setUp(t);
  await signIn(password);
  const token = await mint('never');
  const made = await createAccessToken(database, tokenOf(null));
  const { app } = await testRegistry(
    t,
    { anonymous: 'none', externalUrl: origin, access: { passwordLogin: false } },
    async () => ({ database }),
  );
  const later = new TestBrowser(app.http);
  for (const [name, value] of browser.cookies) later.cookies.set(name, value);
  assert.equal((await later.get('/auth/account')).statusCode, 303);
  assert.equal(await status(token, app.http), 401);
  assert.equal(await status(made.token, app.http), 200, 'a token created by an administrator stays valid');
});

test('a session of a token, and tokens created in it, end when the token expires', async (t) => {
  const { database, signIn, mint, browser } = await setUp(t);
  const short = await createAccessToken(database, tokenOf(hour));
  await signIn(short.token);
  const [, age] = /Max-Age=(\d+)/.exec(browser.setCookies[0] as string) ?? [];
  assert.ok(Number(age) <= 3_600, `${age} seconds`);
  await mint('never');
  await mint('365');
  const rows = await database.read.selectFrom('access_tokens').select('expires_at').execute();
  assert.deepEqual(
    rows.map(({ expires_at }) => expires_at),
    [short.expiresAt, short.expiresAt, short.expiresAt],
  );
});

test('revoking a token ends all tokens created by signing in with it, recursively', async (t) => {
  const { database, signIn, mint, isSignedIn, status, refreshToken, refresh } = await setUp(t);
  const first = await createAccessToken(database, tokenOf(null));
  await signIn(first.token);
  const second = await mint('never');
  await signIn(second);
  const third = await mint('30');
  const fetcher = await refreshToken(third);
  assert.deepEqual([await isSignedIn(), await status(third), await refresh(fetcher)], [true, 200, 200]);
  await revokeAccessToken(database, first.id);
  for (const token of [first.token, second, third]) assert.equal(await status(token), 401);
  assert.deepEqual([await isSignedIn(), await refresh(fetcher)], [false, 401]);
});
