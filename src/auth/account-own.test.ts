// Changes that users make to their own account: the password and the linked sign-on identity.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { origin, TestBrowser } from '../../test/support/browser.ts';
import { logIn, startProvider } from '../../test/support/oidc-provider.ts';
import { testRegistry } from '../../test/support/registry.ts';
import { createAccessToken } from '../administration/access-tokens.ts';
import { changeUser, createUser } from '../administration/users.ts';
import { listAuditEntries } from '../db/audit-events.ts';
import { listIdentities } from '../db/identities.ts';
import { Provider } from './provider.ts';

const password = 'correct horse battery';
const other = 'another horse battery';

async function setUp(t: TestContext, { sso = false }: { sso?: boolean } = {}) {
  const provider = sso ? await startProvider(t, { redirectUri: `${origin}/auth/callback` }) : undefined;
  const { app, database } = await testRegistry(t, {
    anonymous: 'none',
    externalUrl: origin,
    ...(provider && {
      signOn: { issuer: provider.issuer, clientId: provider.clientId, clientSecret: provider.clientSecret },
    }),
  });
  await createUser(database, { name: 'alice', password });
  const signIn = async (secret: string, name = 'alice') => {
    const browser = new TestBrowser(app.http);
    const { statusCode } = await browser.post('/auth/sign-in', { username: name, password: secret });
    return { browser, statusCode };
  };
  const isSignedIn = async (browser: TestBrowser) => (await browser.get('/auth/account')).statusCode === 200;
  const change = async (browser: TestBrowser, fields: Record<string, string>) =>
    browser.post('/auth/account/password', { form: await browser.formToken(), ...fields });
  const login = async (secret: string) => {
    const headers = { authorization: `Basic ${btoa(`alice:${secret}`)}` };
    return (await app.http.inject({ method: 'GET', url: '/v2/', headers })).statusCode;
  };
  const mint = async (browser: TestBrowser) => {
    const form = await browser.formToken();
    const { body } = await browser.post('/auth/account/tokens', { form, name: 'x', days: 'never' });
    return (/brth_\w{46}/.exec(body) as RegExpExecArray)[0];
  };
  return { app, provider, database, signIn, isSignedIn, change, login, mint };
}

const said = (page: string) => /role="alert">([^<]+)</.exec(page)?.[1];

test('changing the password keeps this session, and ends all others with the old password', async (t) => {
  const { signIn, isSignedIn, change, login, mint } = await setUp(t);
  const { browser } = await signIn(password);
  const { browser: elsewhere } = await signIn(password);
  const token = await mint(elsewhere);
  const before = new Map(browser.cookies);
  const answer = await change(browser, { current: password, password: other, again: other });
  assert.deepEqual([answer.statusCode, answer.headers.location], [303, '/auth/account']);
  assert.deepEqual([await isSignedIn(browser), await isSignedIn(elsewhere)], [true, false]);
  assert.notDeepEqual(browser.cookies, before, 'a new session');
  assert.deepEqual([await login(password), await login(other), await login(token)], [401, 200, 401]);
});

test('a password change needs the current password, matching new ones, and an existing password', async (t) => {
  const { database, signIn, change, login } = await setUp(t);
  const { browser } = await signIn(password);
  const { token } = await createAccessToken(database, {
    owner: { kind: 'user', name: 'alice' },
    scopes: [],
    lifetime: null,
  });
  for (const [fields, problem] of [
    [{ current: 'wrong', password: other, again: other }, /^the current password is wrong$/],
    [{ current: token, password: other, again: other }, /^the current password is wrong$/],
    [{ password: other, again: other }, /^the current password is wrong$/],
    [{ current: password, password: other, again: `${other}s` }, /new passwords do not match/],
    [{ current: password, password: 'short', again: 'short' }, /too short/],
    [{ current: password, password: ` ${other}`, again: ` ${other}` }, /begins or ends with a blank/],
  ] as const) {
    const answer = await change(browser, fields);
    assert.equal(answer.statusCode, 400, answer.body);
    assert.match(said(answer.body) as string, problem);
  }
  assert.equal(await login(password), 200);
  const forged = await browser.post('/auth/account/password', {
    current: password,
    password: other,
    again: other,
  });
  assert.equal(forged.statusCode, 403, 'without the form token');

  await changeUser(database, 'alice', { tokenOnly: true });
  const { browser: byToken } = await signIn(token);
  assert.doesNotMatch((await byToken.get('/auth/account')).body, /Change your password/);
  const refused = await change(byToken, { current: password, password: other, again: other });
  assert.match(said(refused.body) as string, /no password that can be changed here/);
});

test('wrong current passwords count like failed logins, and are in the audit log', async (t) => {
  const { database, signIn, change } = await setUp(t);
  const { browser } = await signIn(password);
  const statuses: number[] = [];
  for (let i = 0; i < 12; i++) {
    statuses.push((await change(browser, { current: `x${i}`, password: other, again: other })).statusCode);
  }
  assert.deepEqual([...new Set(statuses)], [400, 429]);
  for (;;) {
    const rows = (await listAuditEntries(database.read, {}, undefined, 100)).filter(
      ({ allowed }) => allowed === 0,
    );
    const errors = rows.map(({ action, actor_name, error }) => [action, actor_name, error]);
    if (errors.length < 2) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      continue;
    }
    assert.deepEqual(errors, [
      ['user.password', 'alice', 'UNAUTHORIZED'],
      ['user.password', 'alice', 'TOOMANYREQUESTS'],
    ]);
    break;
  }
});

/** Starts linking on the account page; returns the URL at the provider. */
async function leave(browser: TestBrowser): Promise<string> {
  const answer = await browser.post('/auth/account/link', { form: await browser.formToken() });
  assert.equal(answer.statusCode, 200, answer.body);
  const [, url] = /^0; url=(.+)$/.exec(answer.headers.refresh as string) ?? [];
  assert.ok(url && answer.body.includes('Continue to single sign-on'));
  return url;
}

test('a user signed in with a password links single sign-on, and then signs in with it', async (t) => {
  const { app, provider, database, signIn, isSignedIn } = await setUp(t, { sso: true });
  provider?.people.set('s-1', { preferred_username: 'alice' });
  const taken = await new TestBrowser(app.http).signOn('s-1');
  assert.equal(taken.statusCode, 403);
  assert.match(taken.body, /<h1>Name taken<\/h1>/);
  assert.match(
    taken.body,
    /a user has that name\. If that is you, sign in with your password and link single sign-on on the account page, or ask an administrator of this registry to link it: berth user link alice --issuer http:\/\/127\.0\.0\.1:\d+ --subject s-1</,
  );

  const { browser } = await signIn(password);
  const back = await browser.get(await logIn(await leave(browser), 's-1'));
  assert.deepEqual([back.statusCode, back.headers.location], [303, '/auth/account']);
  const page = (await browser.get('/auth/account')).body;
  assert.match(page, /<dt>s-1<\/dt><dd>at http:\/\/127/);
  const visitor = new TestBrowser(app.http);
  assert.equal((await visitor.signOn('s-1')).statusCode, 303);
  assert.match((await visitor.get('/auth/account')).body, /<dd>alice<\/dd>/);
  await changeUser(database, 'alice', { password: null });
  assert.equal(await isSignedIn(browser), false);
  assert.equal((await visitor.signOn('s-1')).statusCode, 303);
});

test('a session that ends during the sign-on links nothing', async (t) => {
  const { provider, database, signIn } = await setUp(t, { sso: true });
  provider?.people.set('s-1', { preferred_username: 'alice' });
  const finish = Provider.prototype.finish;
  for (const end of [
    (browser: TestBrowser, form: string) => browser.post('/auth/sign-out', { form }),
    () => changeUser(database, 'alice', { password }),
    () => changeUser(database, 'alice', { tokenOnly: true }),
    () => changeUser(database, 'alice', { tokenOnly: false, disabled: true }),
  ]) {
    const { browser } = await signIn(password);
    const form = (await browser.formToken()) as string;
    const callback = await logIn(await leave(browser), 's-1');
    const asked = t.mock.method(
      Provider.prototype,
      'finish',
      async function (this: Provider, ...asked: Parameters<typeof finish>) {
        const person = await finish.apply(this, asked);
        await end(browser, form);
        return person;
      },
    );
    const answer = await browser.get(callback);
    asked.mock.restore();
    assert.deepEqual([asked.mock.callCount(), answer.statusCode], [1, 403], answer.body);
    assert.match(answer.body, /<h1>Request rejected<\/h1>/);
    assert.deepEqual(await listIdentities(database.read), []);
    await changeUser(database, 'alice', { tokenOnly: false });
  }
});

test('refuses to link an identity of another user, from another session, or in a session of a token', async (t) => {
  const { app, provider, database, signIn } = await setUp(t, { sso: true });
  provider?.people.set('s-2', { preferred_username: 'carol' });
  const carol = new TestBrowser(app.http);
  await carol.signOn('s-2');
  const { browser } = await signIn(password);
  const theirs = await browser.get(await logIn(await leave(browser), 's-2'));
  assert.equal(theirs.statusCode, 403);
  assert.match(theirs.body, /this sign-on identity belongs to another user/);

  // An attempt is valid only in its browser and session.
  provider?.people.set('s-1', { preferred_username: 'alice' });
  const callback = await logIn(await leave(browser), 's-1');
  const { browser: second } = await signIn(password);
  const cookie = '__Host-berth-sign-on';
  second.cookies.set(cookie, browser.cookies.get(cookie) as string);
  assert.equal((await second.get(callback)).statusCode, 403);

  const form = (await browser.formToken()) as string;
  const forged = await browser.post('/auth/account/link', { form }, { origin: 'https://evil.example' });
  assert.equal(forged.statusCode, 403);
  const { token } = await createAccessToken(database, {
    owner: { kind: 'user', name: 'alice' },
    scopes: [],
    lifetime: 60_000,
  });
  const { browser: byToken } = await signIn(token);
  const refused = await byToken.post('/auth/account/link', { form: await byToken.formToken() });
  assert.equal(refused.statusCode, 403);
  assert.match(refused.body, /sign in with your password to link/);
  const signedOn = await carol.post('/auth/account/link', { form: await carol.formToken() });
  assert.equal(signedOn.statusCode, 403);
  assert.deepEqual(
    (await listIdentities(database.read)).map(({ user, subject }) => [user, subject]),
    [['carol', 's-2']],
  );
});
