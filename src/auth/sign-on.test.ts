import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { origin, TestBrowser } from '../../test/support/browser.ts';
import { dialects } from '../../test/support/databases.ts';
import { logIn, startProvider } from '../../test/support/oidc-provider.ts';
import { pagesServer } from '../../test/support/pages-server.ts';
import { Logins } from '../access/login/logins.ts';
import { Sessions } from '../access/login/sessions.ts';
import { BearerTokens } from '../access/tokens/bearer.ts';
import { SigningKeys } from '../access/tokens/signing-keys.ts';
import { createAccessToken, revokeAccessToken } from '../administration/access-tokens.ts';
import { createOrganisation, setOrganisationMember } from '../administration/organisations.ts';
import { createTeam } from '../administration/teams.ts';
import { changeUser, createUser } from '../administration/users.ts';
import type { AuditEvent } from '../audit/event.ts';
import { findAccount } from '../db/accounts.ts';
import { listAuditEntries } from '../db/audit-events.ts';
import { type Database, DatabaseUnavailable } from '../db/database.ts';
import { listMemberships } from '../db/members.ts';
import { findOrCreateRepository } from '../db/repositories.ts';
import { listTeamsOf } from '../db/team-members.ts';
import { findUser } from '../db/users.ts';
import { clientsOf } from '../http/client.ts';
import { type Namespace, parseName } from '../oci/name.ts';
import { Attempts } from './attempts.ts';
import { addPages } from './pages.ts';
import { Provider, type ProviderSettings } from './provider.ts';

interface Options {
  readonly passwords?: boolean;
  readonly sso?: boolean;
  readonly settings?: Partial<ProviderSettings>;
  readonly externalUrl?: string;
}

function setUpWith(dialect: (typeof dialects)[number]) {
  return async (
    t: TestContext,
    { passwords = true, sso = true, settings, externalUrl = origin }: Options = {},
  ) => {
    const database = await dialect.open(t);
    const time = { ahead: 0 };
    const clock = (): number => database.clock() + time.ahead;
    const provider = await startProvider(t, { redirectUri: `${externalUrl}/auth/callback` });
    const { issuer, clientId, clientSecret, people } = provider;
    const signOn: ProviderSettings = {
      issuer,
      clientId,
      clientSecret,
      scopes: ['openid', 'profile', 'email'],
      usernameClaim: 'preferred_username',
      groupsClaim: 'groups',
      ...settings,
    };
    const { http } = pagesServer(clientsOf([]));
    const parts = { database, clock };
    const sessions = new Sessions({ ...parts, passwordLogin: true });
    const keys = new SigningKeys(parts);
    const tokens = new BearerTokens({ ...parts, keys, lifetime: 1, refreshLifetime: 1, passwordLogin: true });
    const events: AuditEvent[] = [];
    addPages(http, {
      ...parts,
      sessions,
      provider: sso ? new Provider(signOn) : undefined,
      attempts: new Attempts({ tokens, clock, perAddress: 30 }),
      administratorsGroup: signOn.administratorsGroup,
      logins: new Logins({ ...parts, passwordLogin: true, perAddress: 30, perAccount: 10 }),
      passwords,
      audit: { record: (event) => events.push(event) },
      clientOf: clientsOf([]),
      externalUrl,
    });
    t.after(() => http.close());
    people.set('s-1', { preferred_username: 'alice', email: 'alice@example.com', groups: ['dev', 'ops'] });
    return { database, people, provider, time, sessions, events, browser: () => new TestBrowser(http) };
  };
}

for (const dialect of dialects) {
  const setUp = setUpWith(dialect);

  test(`${dialect.name}: each sign-on of a person uses the same account`, async (t) => {
    const { database, people, browser } = await setUp(t);
    const first = browser();
    const back = await first.signOn('s-1', '/auth/account?a=1');
    assert.deepEqual([back.statusCode, back.headers.location], [303, '/auth/account?a=1']);
    const page = await first.get('/auth/account');
    assert.equal(page.statusCode, 200);
    assert.match(page.body, /<dd>alice<\/dd>[\s\S]*<dd>alice@example.com<\/dd>/);
    const before = await findUser(database.read, 'alice' as Namespace);

    // A person with a new name at the provider keeps the account.
    people.set('s-1', { preferred_username: 'alice.jones', email: 'jones@example.com' });
    await browser().signOn('s-1');
    const after = await findUser(database.read, 'alice' as Namespace);
    assert.equal(after?.id, before?.id);
    assert.equal(after?.mail, 'jones@example.com');
    assert.equal(after?.password, null);
  });

  test(`${dialect.name}: each sign-on updates the teams from the groups`, async (t) => {
    const { database, people, browser } = await setUp(t);
    await createOrganisation(database, { name: 'acme' });
    await createOrganisation(database, { name: 'other' });
    await createTeam(database, 'acme/developers', { group: 'dev' });
    await createTeam(database, 'acme/operators', { group: 'ops' });
    await createTeam(database, 'other/operators', { group: 'ops' });
    await createTeam(database, 'acme/by-hand');
    await browser().signOn('s-1');
    const { id } = (await findUser(database.read, 'alice' as Namespace)) as { id: number };
    const teams = async () =>
      (await listTeamsOf(database.read, id)).map(({ organisation, name }) => `${organisation}/${name}`);
    assert.deepEqual(await teams(), ['acme/developers', 'acme/operators', 'other/operators']);
    const roles = async () =>
      (await listMemberships(database.read, id)).map(({ name, role }) => `${name} ${role}`);
    assert.deepEqual(await roles(), ['acme none', 'other none']);

    await setOrganisationMember(database, 'acme', 'alice', 'write');
    people.set('s-1', { preferred_username: 'alice', groups: ['dev'] });
    await browser().signOn('s-1');
    assert.deepEqual(await teams(), ['acme/developers']);
    assert.deepEqual(await roles(), ['acme write', 'other none']);

    people.set('s-1', { preferred_username: 'alice' });
    await browser().signOn('s-1');
    assert.deepEqual(await teams(), []);
  });

  test(`${dialect.name}: refuses a name that is taken or has repositories`, async (t) => {
    const { database, people, browser } = await setUp(t);
    await createUser(database, { name: 'alice', password: 'correct horse battery' });
    await createOrganisation(database, { name: 'acme' });
    await database.transaction(async (db) => {
      const id = await findOrCreateRepository(db, parseName('tools/app'), 1);
      await db
        .insertInto('manifests')
        .values({
          repository_id: id,
          digest: `sha256:${'0'.repeat(64)}`,
          media_type: 'x',
          bytes: new Uint8Array(),
          size: 0,
          created_at: 1,
        })
        .execute();
    });
    for (const [name, said] of [
      ['alice', /alice is taken/],
      ['ALICE@corp.example', /alice is taken/],
      ['acme', /acme is taken/],
      ['tools', /repositories with that name/],
      ['library', /is reserved for administrators/],
      ['@@@', /no user name that is valid for an account/],
      [undefined, /no user name that is valid for an account/],
      [{ name: 'alice' }, /no user name that is valid for an account/],
    ] as const) {
      people.set('s-2', { preferred_username: name });
      const visitor = browser();
      const answer = await visitor.signOn('s-2');
      assert.equal(answer.statusCode, 403, String(name));
      assert.match(answer.body, said);
      assert.equal((await visitor.get('/auth/account')).statusCode, 303);
    }
    assert.equal((await database.read.selectFrom('identities').selectAll().execute()).length, 0);
    people.set('s-2', { preferred_username: 'Ælice..von__Jones-@corp' });
    assert.equal((await browser().signOn('s-2')).statusCode, 303);
    assert.ok(await findAccount(database.read, 'lice.von_jones' as Namespace));
  });

  test(`${dialect.name}: the administrators' group makes administrators, and never removes the last one`, async (t) => {
    const { database, people, browser } = await setUp(t, { settings: { administratorsGroup: 'ops' } });
    const isAdministrator = async () => (await findUser(database.read, 'alice' as Namespace))?.administrator;
    await browser().signOn('s-1');
    assert.equal(await isAdministrator(), true);
    people.set('s-1', { preferred_username: 'alice', groups: ['dev'] });
    await browser().signOn('s-1');
    assert.equal(await isAdministrator(), true, 'the last administrator stays');
    await createUser(database, { name: 'root', administrator: true });
    await browser().signOn('s-1');
    assert.equal(await isAdministrator(), false);
  });

  test(`${dialect.name}: a session ends when the account is disabled, the password changes, or its token or time ends`, async (t) => {
    const { database, browser, time, sessions } = await setUp(t);
    await createUser(database, { name: 'bob', password: 'correct horse battery' });
    const owner = { kind: 'user', name: 'bob' } as const;
    const { token, id } = await createAccessToken(database, { owner, name: 'x', scopes: [], lifetime: null });
    const signIn = async (password: string) => {
      const visitor = browser();
      const answer = await visitor.post('/auth/sign-in', { username: 'bob', password });
      assert.equal(answer.statusCode, 303, answer.body);
      return async () => (await visitor.get('/auth/account')).statusCode;
    };
    const [one, two] = [await signIn('correct horse battery'), await signIn(token)];
    assert.deepEqual([await one(), await two()], [200, 200]);
    await revokeAccessToken(database, id);
    assert.deepEqual([await one(), await two()], [200, 303]);
    await changeUser(database, 'bob', { disabled: true });
    assert.equal(await one(), 303);
    await changeUser(database, 'bob', { disabled: false });
    assert.equal(await one(), 200);
    await changeUser(database, 'bob', { password: 'staple battery horse' });
    assert.equal(await one(), 303);

    time.ahead = 1;
    const three = await signIn('staple battery horse');
    time.ahead += 12 * 3_600_000 - 60_000;
    assert.equal(await three(), 200);
    time.ahead += 60_001;
    assert.equal(await three(), 303);
    assert.equal(await sessions.removeExpired(), 3);
    assert.equal(await countSessions(database), 0);
  });
}

async function countSessions(database: Database): Promise<number> {
  return (await database.read.selectFrom('sessions').select('hash').execute()).length;
}

const setUp = setUpWith(dialects[0] as (typeof dialects)[number]);

test('single sign-on refuses a disabled user with the reason', async (t) => {
  const { database, browser } = await setUp(t);
  await browser().signOn('s-1');
  await changeUser(database, 'alice', { disabled: true });
  const answer = await browser().signOn('s-1');
  assert.equal(answer.statusCode, 403);
  assert.match(answer.body, /alice is disabled/);
  assert.equal(await countSessions(database), 1);
});

test('cookies are for this host and HTTPS only, and hidden from scripts', async (t) => {
  const { browser } = await setUp(t);
  const visitor = browser();
  const leaving = await visitor.get('/auth/sign-in/provider');
  assert.match(
    visitor.setCookies[0] as string,
    /^__Host-berth-sign-on=[\w.-]+; Path=\/; Max-Age=600; HttpOnly; SameSite=Lax; Secure$/,
  );
  await visitor.get(await logIn(leaving.headers.location as string, 's-1'));
  assert.equal(visitor.setCookies.length, 2);
  assert.match(visitor.setCookies[0] as string, /^__Host-berth-sign-on=; Path=\/; Max-Age=0;/);
  assert.match(
    visitor.setCookies[1] as string,
    /^__Host-berth=[\w-]{43}; Path=\/; Max-Age=43200; HttpOnly; SameSite=Lax; Secure$/,
  );
});

test('over plain HTTP cookies have another name and are not Secure', async (t) => {
  const { database, browser } = await setUp(t, { externalUrl: 'http://registry.example', sso: false });
  await createUser(database, { name: 'bob', password: 'correct horse battery' });
  const visitor = browser();
  const own = { origin: 'http://registry.example' };
  await visitor.post('/auth/sign-in', { username: 'bob', password: 'correct horse battery' }, own);
  assert.match(
    visitor.setCookies[0] as string,
    /^berth=[\w-]{43}; Path=\/; Max-Age=43200; HttpOnly; SameSite=Lax$/,
  );
});

/** Manipulations of the callback. */
const tampering: [what: string, change: (callback: URL) => void][] = [
  ['another state', (callback) => callback.searchParams.set('state', 'x')],
  ['no state', (callback) => callback.searchParams.delete('state')],
  ['another code', (callback) => callback.searchParams.set('code', 'x')],
  ['another issuer', (callback) => callback.searchParams.set('iss', 'https://evil.example')],
  ['an error of the provider', (callback) => callback.searchParams.set('error', 'access_denied')],
];
for (const [what, change] of tampering) {
  test(`refuses a callback with ${what}`, async (t) => {
    const { browser, database } = await setUp(t);
    const visitor = browser();
    const leaving = await visitor.get('/auth/sign-in/provider');
    const callback = new URL(await logIn(leaving.headers.location as string, 's-1'));
    change(callback);
    const answer = await visitor.get(callback.href);
    assert.equal(answer.statusCode, 403, answer.body);
    assert.match(answer.body, /provider refused the sign-in/);
    assert.match(answer.body, /href="\/auth\/sign-in"/, 'a link to try again');
    assert.ok(!visitor.cookies.has('__Host-berth'));
    assert.equal(await countSessions(database), 0);
  });
}

test('refuses a manipulated attempt cookie', async (t) => {
  const { browser, database, provider } = await setUp(t);
  const visitor = browser();
  const cookie = '__Host-berth-sign-on';
  const attempt = async () => {
    const leaving = await visitor.get('/auth/sign-in/provider');
    const callback = await logIn(leaving.headers.location as string, 's-1');
    return { callback, kept: visitor.cookies.get(cookie) as string };
  };
  const changes = (kept: string): string[] => {
    const [header = '', payload = '', signature = ''] = kept.split('.');
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
    const sealed = (changed: object, head = header, end = signature) =>
      `${head}.${Buffer.from(JSON.stringify({ ...claims, ...changed })).toString('base64url')}.${end}`;
    const none = Buffer.from(JSON.stringify({ alg: 'none' })).toString('base64url');
    return [
      sealed({ nonce: 'x' }),
      sealed({ verifier: 'x'.repeat(43) }),
      sealed({ to: '/elsewhere' }),
      sealed({}, none, ''),
      Buffer.from(JSON.stringify(claims)).toString('base64url'),
      'x',
      '',
    ];
  };
  const { callback, kept } = await attempt();
  const before = provider.requests();
  for (const changed of changes(kept)) {
    visitor.cookies.set(cookie, changed);
    const answer = await visitor.get(callback);
    assert.equal(answer.statusCode, 400, answer.body);
    assert.match(answer.body, /began more than ten minutes ago, or in another browser/);
  }
  assert.equal(provider.requests(), before, 'no request to the provider');
  assert.equal(await countSessions(database), 0);
});

test('a hundred forged callbacks cause no request to the provider, and each is recorded', async (t) => {
  const { browser, events, provider } = await setUp(t);
  await browser().get('/auth/sign-in/provider');
  const before = provider.requests();
  const cookie = '__Host-berth-sign-on';
  for (let i = 0; i < 100; i++) {
    const visitor = browser();
    const state = `s${i}`;
    const made = { state, nonce: 'n', verifier: 'v'.repeat(43), to: '/' };
    if (i % 2 === 0) visitor.cookies.set(cookie, Buffer.from(JSON.stringify(made)).toString('base64url'));
    const answer = await visitor.get(`/auth/callback?code=x&state=${state}`);
    assert.ok([400, 403].includes(answer.statusCode), answer.body);
  }
  assert.equal(provider.requests(), before);
  assert.equal(events.length, 100);
  for (const { action, allowed, error, identity, address } of events) {
    assert.deepEqual(
      [action, allowed, error, identity.principal.kind, address],
      ['login', false, 'UNAUTHORIZED', 'anonymous', '127.0.0.1'],
    );
  }
});

test('a network that repeats forged codes must wait, and others need not', async (t) => {
  const { browser, events, provider } = await setUp(t);
  await browser().get('/auth/sign-in/provider');
  const before = provider.requests();
  const answers = [];
  for (let i = 0; i < 40; i++) {
    const visitor = browser();
    const leaving = await visitor.get('/auth/sign-in/provider');
    const state = new URL(leaving.headers.location as string).searchParams.get('state');
    answers.push(await visitor.get(`/auth/callback?code=x&state=${state}&iss=${provider.issuer}`));
  }
  const statuses = answers.map(({ statusCode }) => statusCode);
  assert.deepEqual([...new Set(statuses)], [403, 429]);
  assert.ok(statuses.filter((status) => status === 403).length <= 31, `${statuses}`);
  assert.ok(provider.requests() - before <= 31, `${provider.requests() - before} requests`);
  assert.match(answers.at(-1)?.headers['retry-after'] as string, /^\d+$/);
  assert.equal(events.length, 40);
});

test('a callback works once, and only in the browser that began', async (t) => {
  const { browser } = await setUp(t);
  const visitor = browser();
  const leaving = await visitor.get('/auth/sign-in/provider');
  const callback = await logIn(leaving.headers.location as string, 's-1');
  assert.equal((await browser().get(callback)).statusCode, 400);
  assert.equal((await visitor.get(callback)).statusCode, 303);
  assert.equal((await visitor.get(callback)).statusCode, 400);
});

test('reports a provider that is down, and retries a moment later', async (t) => {
  const { browser } = await setUp(t, { settings: { issuer: 'http://127.0.0.1:9' } });
  const answer = await browser().get('/auth/sign-in/provider');
  assert.equal(answer.statusCode, 502);
  assert.match(answer.body, /provider is not available; try again/);
});

test('an unavailable database is 503, and keeps sessions', async (t) => {
  const { browser, sessions } = await setUp(t);
  t.mock.method(sessions, 'find', async () => {
    throw new DatabaseUnavailable('the database is away');
  });
  const answer = await browser().get('/auth/account');
  assert.deepEqual([answer.statusCode, answer.headers['retry-after']], [503, '5']);
  assert.match(answer.body, /request failed; try again later/);
  assert.doesNotMatch(answer.body, /is away/);
});

const elsewhere = [
  '//evil.example',
  '/\\evil.example',
  '\\\\evil.example',
  'https:evil.example',
  'https://evil.example',
  '/%09/evil.example',
  '/\t/evil.example',
  '/%2f/evil.example',
  '/%5cevil.example',
  '/./\\evil.example',
  '/.//evil.example',
  '/a/..//evil.example',
  'javascript:alert(1)',
  'auth/account',
  '/a\r\nset-cookie: a=b',
  '/é',
  '',
  `/${'a'.repeat(3000)}`,
];
test('never redirects to another origin after sign-in', async (t) => {
  const { browser, database } = await setUp(t);
  await createUser(database, { name: 'bob', password: 'correct horse battery' });
  const visitor = browser();
  for (const to of elsewhere) {
    const answer = await visitor.post('/auth/sign-in', {
      username: 'bob',
      password: 'correct horse battery',
      to,
    });
    assert.equal(answer.headers.location, '/auth/account', JSON.stringify(to));
    const again = await visitor.get(`/auth/sign-in?${new URLSearchParams({ to })}`);
    assert.equal(again.headers.location, '/auth/account', JSON.stringify(to));
  }
  assert.equal((await visitor.signOn('s-1', '//evil.example')).headers.location, '/auth/account');
  const twice = await visitor.get('/auth/sign-in?to=/a&to=//evil.example');
  assert.equal(twice.headers.location, '/auth/account');
  assert.equal((await visitor.get('/auth/sign-in?to=/somewhere?a=b')).headers.location, '/somewhere?a=b');
});

test('refuses a form of another site, with any cookies', async (t) => {
  const { browser, database } = await setUp(t);
  const visitor = browser();
  await visitor.signOn('s-1');
  const form = await visitor.formToken();
  const make = (headers: Record<string, string | undefined>, token = form) =>
    visitor.post('/auth/account/tokens', { form: token, name: 'x', days: '30' }, headers);
  const own = { 'sec-fetch-site': 'same-origin', origin };
  for (const headers of [
    {},
    { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' },
    { 'sec-fetch-site': 'same-site', origin: 'https://evil.registry.example' },
    { 'sec-fetch-site': 'none' },
    { 'sec-fetch-site': 'cross-site', origin },
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: 'http://registry.example' },
  ]) {
    assert.equal((await make(headers)).statusCode, 403, JSON.stringify(headers));
    const out = await visitor.post('/auth/sign-out', { form }, headers);
    assert.equal(out.statusCode, 403);
    const into = await visitor.post('/auth/sign-in', { username: 'x', password: 'y' }, headers);
    assert.equal(into.statusCode, 403);
  }
  const other = browser();
  await other.signOn('s-1');
  assert.equal((await make(own, '')).statusCode, 403);
  assert.equal((await make(own, await other.formToken())).statusCode, 403);
  assert.equal((await browser().post('/auth/account/tokens', { form }, own)).statusCode, 403);
  assert.equal((await database.read.selectFrom('access_tokens').select('id').execute()).length, 0);
  assert.equal((await make(own)).statusCode, 200);
  assert.equal((await make({ origin })).statusCode, 200);
});

test('pages run no script, load nothing, and cannot be framed or read by other origins', async (t) => {
  const { browser, people } = await setUp(t);
  people.set('s-1', { preferred_username: 'alice', email: '"<img/src=x>"@example.com' });
  const visitor = browser();
  await visitor.signOn('s-1');
  const page = await visitor.get('/auth/account', { origin: 'https://evil.example' });
  assert.equal(page.headers['access-control-allow-origin'], undefined);
  assert.match(
    page.headers['content-security-policy'] as string,
    /^default-src 'none'; style-src 'sha256-[\w+/]{43}='; form-action 'self'; base-uri 'none'; frame-ancestors 'none'$/,
  );
  const [, style = ''] = /<style>([\s\S]*)<\/style>/.exec(page.body) ?? [];
  const hash = createHash('sha256').update(style).digest('base64');
  assert.ok((page.headers['content-security-policy'] as string).includes(`'sha256-${hash}'`));
  assert.equal(page.headers['cache-control'], 'no-store');
  assert.equal(page.headers['x-content-type-options'], 'nosniff');
  assert.ok(!page.body.includes('<img') && page.body.includes('&#60;img/src=x&#62;'), page.body);
  assert.ok(!page.body.includes('<script'));
});

test('a token is created, shown once, works, and only its owner can revoke it', async (t) => {
  const { browser, database } = await setUp(t);
  const visitor = browser();
  await visitor.signOn('s-1');
  const form = await visitor.formToken();
  const fields = {
    form,
    name: '<b>laptop</b>',
    days: '30',
    scopes: 'repository:acme/app:pull  repository:acme/x:push',
  };
  const made = await visitor.post('/auth/account/tokens', fields);
  const [token = ''] = /brth_\w{46}/.exec(made.body) ?? [];
  assert.ok(made.body.includes('docker login -u alice registry.example'), made.body);
  const page = (await visitor.get('/auth/account')).body;
  assert.ok(!page.includes(token));
  assert.match(page, /&#60;b&#62;laptop[\s\S]*repository:acme\/app:pull repository:acme\/x:push/);

  const logins = new Logins({
    database,
    clock: database.clock,
    passwordLogin: true,
    perAddress: 9,
    perAccount: 9,
  });
  const login = () => logins.authenticate({ username: 'alice', password: token }, '192.0.2.1');
  assert.equal((await login()).credential.kind, 'token');
  const scoped = await browser().post('/auth/sign-in', { username: 'alice', password: token });
  assert.equal(scoped.statusCode, 401, 'a token with scopes has less rights than a session');

  const [, id = ''] = /name="id" value="(\d+)"/.exec(page) ?? [];
  await createUser(database, { name: 'bob', password: 'correct horse battery' });
  const bob = browser();
  await bob.post('/auth/sign-in', { username: 'bob', password: 'correct horse battery' });
  const foreign = await bob.post('/auth/account/tokens/revoke', { form: await bob.formToken(), id });
  assert.deepEqual([foreign.statusCode, /you have no such token/.test(foreign.body)], [400, true]);
  await login();
  assert.equal((await visitor.post('/auth/account/tokens/revoke', { form, id })).statusCode, 303);
  await assert.rejects(login(), { code: 'UNAUTHORIZED' });
  assert.match((await visitor.get('/auth/account')).body, /You have no access tokens/);
});

test('a mistake in the token form is shown on the page', async (t) => {
  const { browser } = await setUp(t);
  const visitor = browser();
  await visitor.signOn('s-1');
  const form = await visitor.formToken();
  for (const [fields, said] of [
    [{ name: 'x', days: '30', scopes: 'registry:catalog:*' }, /scope/],
    [{ name: ' ', days: '30' }, /name/],
    [{ name: 'x', days: '31' }, /when the token expires/],
    [{ name: 'x' }, /when the token expires/],
  ] as const) {
    const answer = await visitor.post('/auth/account/tokens', { form, ...fields });
    assert.ok([400, 403].includes(answer.statusCode), answer.body);
    assert.match(answer.body, said);
  }
  const json = await visitor.get('/auth/account/tokens/revoke');
  assert.equal(json.statusCode, 404);
});

test('refuses a wrong password like an unknown user, and answers 429 after too many attempts', async (t) => {
  const { browser, database } = await setUp(t);
  await createUser(database, { name: 'bob', password: 'correct horse battery' });
  await createUser(database, { name: 'carol', password: 'correct horse battery', tokenOnly: true });
  const attempt = async (username: string, password: string) =>
    browser().post('/auth/sign-in', { username, password });
  const said = (page: string) => /role="alert">([^<]+)</.exec(page)?.[1];
  const [unknown, wrong] = [await attempt('nobody', 'x'), await attempt('bob', 'x')];
  assert.deepEqual([unknown.statusCode, wrong.statusCode], [401, 401]);
  assert.equal(said(unknown.body), said(wrong.body));
  assert.equal((await attempt('carol', 'correct horse battery')).statusCode, 401);
  for (let i = 0; i < 9; i++) await attempt('bob', `x${i}`);
  const late = await attempt('bob', 'correct horse battery');
  assert.equal(late.statusCode, 429);
  assert.match(late.headers['retry-after'] as string, /^\d+$/);
});

test('signing out ends the session in the browser and in the database', async (t) => {
  const { browser, database } = await setUp(t);
  const visitor = browser();
  await visitor.signOn('s-1');
  const copy = new Map(visitor.cookies);
  await visitor.post('/auth/sign-out', { form: await visitor.formToken() });
  assert.equal(visitor.cookies.size, 0);
  for (const [name, value] of copy) visitor.cookies.set(name, value);
  assert.equal((await visitor.get('/auth/account')).statusCode, 303);
  assert.equal(await countSessions(database), 0);
});

test('the page offers exactly the enabled ways to sign in', async (t) => {
  const both = await (await setUp(t)).browser().get('/auth/sign-in?to=/a');
  assert.match(both.body, /href="\/auth\/sign-in\/provider\?to=%2Fa"[\s\S]*type="password"/);
  const sso = await setUp(t, { passwords: false });
  const straight = await sso.browser().get('/auth/sign-in');
  assert.match(
    straight.headers.location as string,
    /^http:\/\/127\.0\.0\.1:\d+\/auth\?.*code_challenge_method=S256/,
  );
  assert.equal((await sso.browser().post('/auth/sign-in', { username: 'a', password: 'b' })).statusCode, 403);
  const local = await setUp(t, { sso: false });
  assert.doesNotMatch((await local.browser().get('/auth/sign-in')).body, /single sign-on/);
  assert.equal((await local.browser().get('/auth/callback?code=x')).statusCode, 404);
});

test('refuses a form that is too large or of another type', async (t) => {
  const { browser } = await setUp(t);
  const large = await browser().post('/auth/sign-in', { username: 'a'.repeat(20_000) });
  assert.equal(large.statusCode, 413);
  const json = await browser().post('/auth/sign-in', {}, { 'content-type': 'application/json', origin });
  assert.equal(json.statusCode, 415);
});

test('records sign-ins, refusals, and created and revoked tokens', async (t) => {
  const { browser, database, events, people } = await setUp(t);
  await createUser(database, { name: 'bob', password: 'correct horse battery' });
  await browser().post('/auth/sign-in', { username: 'bob', password: 'wrong' });
  await browser().post('/auth/sign-in', { username: 'bob', password: 'correct horse battery' });
  people.set('s-2', { preferred_username: 'bob' });
  await browser().signOn('s-2');
  const visitor = browser();
  await visitor.signOn('s-1');
  const form = await visitor.formToken();
  await visitor.post('/auth/account/tokens', { form, name: 'x', days: 'never' });
  await visitor.post('/auth/account/tokens/revoke', { form, id: '1' });
  assert.deepEqual(
    events.map(({ action, allowed, identity, detail }) => [
      action,
      allowed,
      identity.principal.kind === 'anonymous' || identity.principal.name,
      detail?.token,
    ]),
    [
      ['login', false, 'bob', undefined],
      ['login', true, 'bob', undefined],
      ['login', false, 's-2', undefined],
      ['login', true, 'alice', undefined],
    ],
  );
  const entries = await listAuditEntries(database.read, { actor: 'alice' }, undefined, 100);
  assert.deepEqual(
    entries.map(({ action, detail }) => [action, JSON.parse(detail as string).token]),
    [
      ['user.create', undefined],
      ['user.update', undefined],
      ['token.create', 1],
      ['token.revoke', 1],
    ],
  );
  assert.ok([...events, ...entries].every(({ address }) => address === '127.0.0.1'));
  assert.doesNotMatch(JSON.stringify([events, entries]), /brth_|correct horse/);
});
