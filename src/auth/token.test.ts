import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import type { InjectOptions } from 'fastify';
import { insertLink, insertRow, makeRobot, makeToken } from '../../test/support/access.ts';
import { cleanUp } from '../../test/support/cleanup.ts';
import { dialects, makeOrganisation, makeRepository, makeUser } from '../../test/support/databases.ts';
import { pagesServer } from '../../test/support/pages-server.ts';
import { anonymousIdentity, type Identity } from '../access/identity.ts';
import type { AnonymousAccess } from '../access/policy.ts';
import { BearerTokens } from '../access/tokens/bearer.ts';
import { SigningKeys } from '../access/tokens/signing-keys.ts';
import { TokenGrants } from '../access/tokens/token-grants.ts';
import { claimsOfUsers } from '../administration/claim-namespace.ts';
import type { AuditEvent } from '../audit/event.ts';
import type { Database } from '../db/database.ts';
import { RegistryError } from '../oci/errors.ts';
import { parseName } from '../oci/name.ts';
import { type Limits, limitsOf } from '../v2/limits.ts';
import { addTokenServer } from './token.ts';

const now = Date.UTC(2026, 0, 1, 12);
const hour = 3_600_000;

interface Settings {
  readonly policy?: AnonymousAccess;
  readonly namespacesPerUser?: number;
  readonly limits?: Limits | undefined;
}

/** The token server over a real database; the test defines the passwords, and can close the database. */
async function setUp(t: TestContext, { policy = 'public', namespacesPerUser = 0, limits }: Settings = {}) {
  const database = await (dialects[0] as (typeof dialects)[number]).open(t);
  const time = { now };
  const clock = (): number => time.now;
  const tokens = new BearerTokens({
    keys: new SigningKeys({ database, clock }),
    clock,
    lifetime: 300_000,
    refreshLifetime: hour,
    passwordLogin: true,
  });
  const known = new Map<string, Identity | Error>();
  const events: AuditEvent[] = [];
  const clientOf = () => ({ address: '192.0.2.7', scheme: 'http', host: undefined }) as const;
  const { http, answered: served } = pagesServer(clientOf);
  addTokenServer(http, {
    logins: {
      async authenticate({ username, password }, address) {
        const found = known.get(`${username}:${password}`);
        if (found instanceof Error) throw found;
        if (found === undefined || address !== '192.0.2.7') throw new RegistryError('UNAUTHORIZED');
        return found;
      },
    },
    tokens,
    grants: new TokenGrants({
      database,
      tokens,
      clock,
      policy,
      findClaims: claimsOfUsers(namespacesPerUser),
      passwordLogin: true,
    }),
    audit: { record: (event) => events.push(event) },
    clientOf,
    limits,
  });
  cleanUp(t, () => http.close());

  const ask = async (options: InjectOptions) => {
    const response = await http.inject(options);
    return { status: response.statusCode, headers: response.headers, body: response.json() };
  };
  return {
    database,
    tokens,
    time,
    known,
    events,
    served,
    http,
    get: (query: string, credentials?: string) =>
      ask({
        url: `/auth/token${query}`,
        headers: credentials === undefined ? {} : { authorization: basic(credentials) },
      }),
    post: (form: Record<string, string> | string, type = 'application/x-www-form-urlencoded') =>
      ask({
        method: 'POST',
        url: '/auth/token',
        headers: { 'content-type': type },
        payload: typeof form === 'string' ? form : new URLSearchParams(form).toString(),
      }),
  };
}

type Server = Awaited<ReturnType<typeof setUp>>;

function basic(credentials: string): string {
  return `Basic ${Buffer.from(credentials).toString('base64')}`;
}

/** alice with the password `secret`, her namespace, and read on acme; returns the ids of repositories of both. */
async function withAlice(server: Server) {
  const { database, known } = server;
  const id = await makeUser(database, 'alice');
  const acme = await makeOrganisation(database, 'acme');
  await insertLink(database, 'members', { organisation_id: acme, account_id: id, role: 'read' });
  const alice: Identity = {
    principal: { kind: 'user', id, name: 'alice' },
    credential: { kind: 'password', since: 1 },
  };
  known.set('alice:secret', alice);
  return {
    id,
    acme,
    alice,
    own: await makeRepository(database, parseName('alice/app')),
    theirs: await makeRepository(database, parseName('acme/app')),
  };
}

async function publish(database: Database, name: string): Promise<number> {
  const id = await makeRepository(database, parseName(name));
  await database.transaction((db) =>
    db.updateTable('repositories').set({ visibility: 'public' }).where('id', '=', id).execute(),
  );
  return id;
}

/** The actions of a token by repository name, with the repository ids that it is bound to. */
async function granted({ tokens }: Server, token: string) {
  const { granted: all } = await tokens.verify(token);
  return Object.fromEntries([...all].map(([name, { actions, repository }]) => [name, [actions, repository]]));
}

test('GET: a login gets a token, in all fields that clients read', async (t) => {
  const server = await setUp(t);
  const { own, alice } = await withAlice(server);
  const { status, headers, body } = await server.get(
    '?service=berth&account=alice&scope=repository:alice/app:pull,push',
    'alice:secret',
  );
  assert.equal(status, 200);
  assert.match(String(headers['content-type']), /^application\/json/);
  assert.equal(headers['cache-control'], 'no-store');
  assert.ok(headers['x-request-id']);
  const { token, access_token, ...rest } = body;
  assert.equal(token, access_token);
  assert.deepEqual(rest, { expires_in: 300, issued_at: '2026-01-01T12:00:00.000Z' });
  assert.deepEqual((await server.tokens.verify(token)).identity, alice);
  assert.deepEqual(await granted(server, token), { 'alice/app': [['pull', 'push'], own] });
});

test('GET: a token has the requested actions that the caller has rights to', async (t) => {
  const server = await setUp(t);
  const { own, theirs } = await withAlice(server);
  const scopes = [
    'repository:alice/app:pull',
    'repository:alice/new:push,delete repository:acme/app:pull,push,delete',
    'repository:acme/new:pull',
    'repository:other/app:pull,push',
    'repository:alpine:pull',
    'repository(plugin):alice/plugin:pull',
    'registry:catalog:*',
  ];
  const query = scopes.map((scope) => `scope=${encodeURIComponent(scope)}`).join('&');
  const { status, body } = await server.get(`?${query}`, 'alice:secret');
  assert.equal(status, 200);
  assert.deepEqual(await granted(server, body.token), {
    'alice/app': [['pull'], own],
    'alice/new': [['push', 'delete'], undefined],
    'acme/app': [['pull'], theirs],
    'acme/new': [['pull'], undefined],
  });
  assert.equal((await server.tokens.verify(body.token)).catalog, true);
});

test('GET: `*` gives all actions that the caller has rights to', async (t) => {
  const server = await setUp(t);
  await withAlice(server);
  const { body } = await server.get(
    '?scope=repository:alice/app:*&scope=repository:acme/app:*',
    'alice:secret',
  );
  const { 'alice/app': own, 'acme/app': theirs } = await granted(server, body.token);
  assert.deepEqual([own?.[0], theirs?.[0]], [['pull', 'push', 'delete'], ['pull']]);
});

test('GET: the scopes of an access token limit its bearer tokens', async (t) => {
  const server = await setUp(t);
  const { id, own } = await withAlice(server);
  const scopes = 'repository:alice/**:pull';
  const credential = { kind: 'token', id: await makeToken(server.database, id, { scopes }) } as const;
  server.known.set('alice:brth_x', { principal: { kind: 'user', id, name: 'alice' }, credential });
  const { body } = await server.get(
    '?scope=repository:alice/app:push,pull&scope=repository:acme/app:pull',
    'alice:brth_x',
  );
  assert.deepEqual(await granted(server, body.token), { 'alice/app': [['pull'], own] });
});

test('GET: a caller with only the right to create gets push', async (t) => {
  const server = await setUp(t);
  const acme = await makeOrganisation(server.database, 'acme');
  const id = await makeRobot(server.database, 'acme+ci', acme);
  await insertRow(server.database, 'grants', {
    pattern: 'acme/**',
    account_id: id,
    role: 'write',
    created_at: 1,
  });
  const scopes = 'repository:acme/**:create';
  const credential = { kind: 'token', id: await makeToken(server.database, id, { scopes }) } as const;
  server.known.set('acme+ci:brth_y', { principal: { kind: 'robot', id, name: 'acme+ci' }, credential });
  const { body } = await server.get('?scope=repository:acme/app:pull,push,create', 'acme+ci:brth_y');
  assert.deepEqual(await granted(server, body.token), { 'acme/app': [['push', 'create'], undefined] });
});

test('GET: without a scope it checks the login', async (t) => {
  const server = await setUp(t);
  await withAlice(server);
  const { status, body } = await server.get('?service=berth', 'alice:secret');
  assert.equal(status, 200);
  assert.deepEqual(await granted(server, body.token), {});
});

test('GET: wrong credentials are 401, with the errors of the registry API and of OAuth2', async (t) => {
  const server = await setUp(t, { policy: 'push' });
  await withAlice(server);
  for (const credentials of ['alice:wrong', 'bob:secret', ':', 'alice']) {
    const { status, headers, body } = await server.get('?scope=repository:alice/app:pull', credentials);
    assert.equal(status, 401, credentials);
    assert.match(String(headers['www-authenticate']), /^Basic realm=/);
    assert.equal(body.errors[0].code, 'UNAUTHORIZED');
    // Docker retries an error without a detail.
    assert.match(body.errors[0].detail, /./);
    assert.equal(body.error, 'invalid_grant');
  }
  for (const authorization of ['Bearer abc', 'Basic', 'Basic !', 'Basic YWxpY2U6c2VjcmV0 x']) {
    const { statusCode } = await server.http.inject({ url: '/auth/token', headers: { authorization } });
    assert.equal(statusCode, 401, authorization);
  }
});

const policies: [AnonymousAccess, number, Record<string, readonly string[]>][] = [
  ['none', 401, {}],
  ['public', 200, { 'acme/open': ['pull'] }],
  ['pull', 200, { 'acme/open': ['pull'], 'acme/closed': ['pull'], 'acme/none': ['pull'] }],
  [
    'push',
    200,
    {
      'acme/open': ['pull', 'push', 'delete'],
      'acme/closed': ['pull', 'push', 'delete'],
      'acme/none': ['pull', 'push', 'delete'],
    },
  ],
];

for (const [policy, status, expected] of policies) {
  test(`GET: anonymous tokens with anonymous: ${policy}`, async (t) => {
    const server = await setUp(t, { policy });
    await publish(server.database, 'acme/open');
    await makeRepository(server.database, parseName('acme/closed'));
    const scopes = ['open', 'closed', 'none'].map((name) => `scope=repository:acme/${name}:pull,push,delete`);
    const answer = await server.get(`?offline_token=true&${scopes.join('&')}`);
    assert.equal(answer.status, status);
    if (status !== 200) return;
    const actions = Object.entries(await granted(server, answer.body.token)).map(([name, [all]]) => [
      name,
      all,
    ]);
    assert.deepEqual(Object.fromEntries(actions), expected);
    assert.equal(answer.body.refresh_token, undefined);
  });
}

test('GET: users get push to a free namespace if they may create it', async (t) => {
  const server = await setUp(t, { namespacesPerUser: 10 });
  const { id } = await withAlice(server);
  const good = async (name: string, actions: string, credentials?: string) =>
    (
      await granted(
        server,
        (
          await server.get(`?scope=repository:${name}:${actions}`, credentials)
        ).body.token,
      )
    )[name];
  assert.deepEqual(await good('new/app', 'pull,push', 'alice:secret'), [['pull', 'push'], undefined]);
  assert.equal(await good('new/app', 'pull', 'alice:secret'), undefined, 'a pull creates no namespace');
  assert.equal(await good('acme/app', 'push', 'alice:secret'), undefined, 'the namespace is taken');
  assert.equal(await good('library/app', 'push', 'alice:secret'), undefined);
  assert.equal(await good('app', 'push', 'alice:secret'), undefined);
  assert.equal(await good('new/app', 'pull,push'), undefined, 'anonymous callers cannot create a namespace');
  const scopes = 'repository:new/**:push';
  const credential = { kind: 'token', id: await makeToken(server.database, id, { scopes }) } as const;
  server.known.set('alice:brth_x', { principal: { kind: 'user', id, name: 'alice' }, credential });
  assert.deepEqual(await good('new/app', 'pull,push', 'alice:brth_x'), [['push'], undefined]);
  assert.equal(await good('other/app', 'pull,push', 'alice:brth_x'), undefined);
});

test('GET: only administrators get push to a free namespace if users may not create them', async (t) => {
  const server = await setUp(t);
  await withAlice(server);
  const { body } = await server.get('?scope=repository:new/app:pull,push', 'alice:secret');
  assert.deepEqual(await granted(server, body.token), {});
});

test('GET: too many scopes are 400', async (t) => {
  const server = await setUp(t);
  const { status, body } = await server.get(`?${'scope=repository:a:pull&'.repeat(101)}`);
  assert.equal(status, 400);
  assert.equal(body.error, 'invalid_scope');
  assert.match(body.errors[0].message, /./);
});

test('a refresh token is issued on request, and fetches tokens', async (t) => {
  const server = await setUp(t);
  const { alice } = await withAlice(server);
  const { body: plain } = await server.get('', 'alice:secret');
  assert.equal(plain.refresh_token, undefined);
  const { body } = await server.get('?offline_token=true&client_id=docker', 'alice:secret');
  const { status, body: fetched } = await server.post({
    grant_type: 'refresh_token',
    refresh_token: body.refresh_token,
    service: 'berth',
    client_id: 'docker',
    scope: 'repository:alice/app:pull repository:acme/app:push,pull',
  });
  assert.equal(status, 200);
  const { access_token, ...rest } = fetched;
  assert.deepEqual(rest, {
    token_type: 'Bearer',
    expires_in: 300,
    issued_at: '2026-01-01T12:00:00.000Z',
    scope: 'repository:alice/app:pull repository:acme/app:pull',
  });
  assert.deepEqual((await server.tokens.verify(access_token)).identity, alice);
});

test('a refresh token ends at once with the credential that it was issued for', async (t) => {
  const server = await setUp(t);
  const { id } = await withAlice(server);
  const { refresh_token } = (await server.get('?offline_token=true', 'alice:secret')).body;
  const refresh = async () => (await server.post({ grant_type: 'refresh_token', refresh_token })).status;
  const update = (set: object, table: 'users' | 'accounts', key: 'account_id' | 'id') =>
    server.database.transaction((db) =>
      db
        .updateTable(table)
        .set(set)
        .where(key as never, '=', id as never)
        .execute(),
    );
  assert.equal(await refresh(), 200);
  await update({ password_changed_at: 2 }, 'users', 'account_id');
  assert.equal(await refresh(), 401);
  await update({ password_changed_at: 1, token_only: 1 }, 'users', 'account_id');
  assert.equal(await refresh(), 401);
  await update({ token_only: 0 }, 'users', 'account_id');
  assert.equal(await refresh(), 200);
  await update({ disabled_at: 5 }, 'accounts', 'id');
  assert.equal(await refresh(), 401);
  await update({ disabled_at: null }, 'accounts', 'id');
  server.time.now += hour + 30_000;
  assert.equal(await refresh(), 401);
});

test('POST: a password gets a token, and a refresh token on request', async (t) => {
  const server = await setUp(t);
  await withAlice(server);
  const form = {
    grant_type: 'password',
    username: 'alice',
    password: 'secret',
    service: 'berth',
    client_id: 'x',
  };
  const { status, body } = await server.post(form);
  assert.equal(status, 200);
  assert.equal(body.scope, '');
  assert.equal(body.refresh_token, undefined);
  const offline = await server.post({ ...form, access_type: 'offline', scope: 'registry:catalog:*' });
  assert.equal(offline.body.scope, 'registry:catalog:*');
  assert.ok(await server.tokens.verifyRefresh(offline.body.refresh_token));
  assert.equal((await server.post({ ...form, password: 'wrong' })).status, 401);
});

test('POST: accepts repeated and joined scopes, and a charset in Content-Type', async (t) => {
  const server = await setUp(t);
  await withAlice(server);
  const form =
    'grant_type=password&username=alice&password=secret&scope=repository:alice/a:pull+repository:alice/b:pull' +
    '&scope=repository%3Aalice%2Fc%3Apull';
  const { body } = await server.post(form, 'application/x-www-form-urlencoded; charset=utf-8');
  assert.equal(body.scope, 'repository:alice/a:pull repository:alice/b:pull repository:alice/c:pull');
});

const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange';

/** The form of a job of acme that logged in an hour ago and may fetch tokens for two hours. */
async function withJob(server: Server) {
  const acme = await makeOrganisation(server.database, 'acme');
  const trust = await insertRow(server.database, 'trusts', {
    organisation_id: acme,
    name: 'ci',
    issuer: 'https://issuer.example',
    audience: 'berth',
    claims: '{}',
    scopes: 'repository:acme/**:pull,push',
    lifetime: 2 * hour,
    created_at: 1,
    updated_at: 1,
  });
  server.known.set('acme:eyJ.eyJ.x', {
    principal: { kind: 'job', trust, subject: 'repo:acme/app', name: 'acme' },
    credential: { kind: 'id-token', trust, since: now - hour, terms: 1 },
  });
  return { grant_type: exchange, subject_token: 'eyJ.eyJ.x' };
}

test('POST: an ID token is exchanged for a token, with the organisation in account or audience', async (t) => {
  const server = await setUp(t);
  const form = { ...(await withJob(server)), scope: 'repository:acme/app:push', access_type: 'offline' };
  for (const [where, type] of [
    ['account', 'id_token'],
    ['audience', 'jwt'],
  ] as const) {
    const subject_token_type = `urn:ietf:params:oauth:token-type:${type}`;
    const { status, body } = await server.post({ ...form, subject_token_type, [where]: 'acme' });
    assert.equal(status, 200, where);
    assert.equal(server.events.pop()?.action, 'login');
    assert.equal(body.issued_token_type, 'urn:ietf:params:oauth:token-type:access_token');
    assert.equal(body.scope, 'repository:acme/app:push');
  }
  assert.equal((await server.post(form)).status, 400);
  assert.equal((await server.post({ ...form, account: 'other' })).status, 401);
});

test("a job's refresh token ends with the lifetime of the trust", async (t) => {
  const server = await setUp(t);
  const form = { ...(await withJob(server)), account: 'acme', access_type: 'offline' };
  const { refresh_token } = (await server.post(form)).body;
  server.time.now += hour + 29_000;
  assert.equal((await server.post({ grant_type: 'refresh_token', refresh_token })).status, 200);
  assert.equal(
    (await server.post(form)).body.refresh_token,
    undefined,
    'no refresh token beyond the lifetime',
  );
  server.time.now += 1_000;
  assert.equal((await server.post({ grant_type: 'refresh_token', refresh_token })).status, 401);
});

test('POST: refuses a password as an ID token', async (t) => {
  const server = await setUp(t);
  await withAlice(server);
  const { status, body } = await server.post({
    grant_type: exchange,
    account: 'alice',
    subject_token: 'secret',
  });
  assert.deepEqual([status, body.error], [401, 'invalid_grant']);
});

const mistakes: [what: string, form: string, error: string][] = [
  ['an empty form', '', 'invalid_request'],
  ['no grant type', 'username=alice&password=secret', 'invalid_request'],
  ['two grant types', 'grant_type=password&grant_type=password&username=a&password=b', 'invalid_request'],
  ['another grant type', 'grant_type=client_credentials', 'unsupported_grant_type'],
  ['no user name', 'grant_type=password&password=secret', 'invalid_request'],
  ['two user names', 'grant_type=password&username=alice&username=bob&password=secret', 'invalid_request'],
  ['no password', 'grant_type=password&username=alice', 'invalid_request'],
  ['an empty password', 'grant_type=password&username=alice&password=', 'invalid_request'],
  ['no refresh token', 'grant_type=refresh_token', 'invalid_request'],
  ['no ID token', `grant_type=${exchange}&account=a`, 'invalid_request'],
  [
    'an ID token with another type',
    `grant_type=${exchange}&account=a&subject_token=eyJ.eyJ.x&subject_token_type=urn:ietf:params:oauth:token-type:access_token`,
    'invalid_request',
  ],
  ['too many scopes', 'scope=a&'.repeat(101), 'invalid_scope'],
];

for (const [what, form, error] of mistakes) {
  test(`POST: ${what} is 400 ${error}`, async (t) => {
    const { status, body } = await (await setUp(t)).post(form);
    assert.deepEqual([status, body.error], [400, error]);
    assert.match(body.errors[0].message, /./);
  });
}

test('POST: an unknown refresh token is 401 invalid_grant', async (t) => {
  const server = await setUp(t);
  const { status, body } = await server.post({ grant_type: 'refresh_token', refresh_token: 'eyJ' });
  assert.deepEqual([status, body.error, body.errors[0].code], [401, 'invalid_grant', 'UNAUTHORIZED']);
});

test('POST: refuses other media types and bodies over the limit', async (t) => {
  const { post } = await setUp(t);
  assert.equal((await post('{"grant_type":"password"}', 'application/json')).status, 415);
  assert.equal((await post('grant_type=password', 'text/plain')).status, 415);
  assert.equal((await post(`grant_type=password&x=${'x'.repeat(64 << 10)}`)).status, 413);
});

test('POST: a client that waits for 100 Continue gets it', async (t) => {
  const server = await setUp(t);
  await withAlice(server);
  await server.http.listen({ host: '127.0.0.1', port: 0 });
  const { port } = server.http.server.address() as { port: number };
  const form = 'grant_type=password&username=alice&password=secret';
  const answers = await new Promise<string>((resolve, reject) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(
        `POST /auth/token HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n` +
          `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${form.length}\r\n\r\n`,
      );
    });
    socket.on('data', (data) => {
      text += data;
      if (text.endsWith('100 Continue\r\n\r\n')) socket.write(form);
    });
    socket.on('end', () => resolve(text)).on('error', reject);
  });
  assert.match(answers, /100 Continue.*HTTP\/1.1 200 OK.*"access_token"/s);
});

test('a client over a limit gets 429 with Retry-After', async (t) => {
  const server = await setUp(t);
  server.known.set(
    'a:b',
    new RegistryError('TOOMANYREQUESTS', 'too many wrong passwords', { retryAfter: 17 }),
  );
  const { status, headers, body } = await server.get('', 'a:b');
  assert.deepEqual([status, headers['retry-after'], body.errors[0].code], [429, '17', 'TOOMANYREQUESTS']);
  assert.equal(body.error_description, 'too many wrong passwords');
  server.known.set('a:b', new RegistryError('UNAVAILABLE'));
  const unavailable = await server.get('', 'a:b');
  assert.deepEqual([unavailable.status, unavailable.headers['retry-after']], [503, '5']);
});

test('an internal error is in the log and not in the answer', async (t) => {
  const server = await setUp(t);
  const bug = new TypeError('a secret of the house');
  server.known.set('a:b', bug);
  const { status, body } = await server.get('', 'a:b');
  assert.equal(status, 500);
  assert.equal(body.errors[0].code, 'UNKNOWN');
  assert.doesNotMatch(JSON.stringify(body), /secret/);
  assert.equal(server.served[0]?.error?.cause, bug);
});

test('observes each request and records each login, without secrets', async (t) => {
  const server = await setUp(t);
  const { alice } = await withAlice(server);
  await server.get('');
  await server.get('', 'alice:secret');
  await server.post({ grant_type: 'password', username: 'mallory', password: 'canary' });
  const observed = server.served.map(({ route, status, error, identity }) => [
    route?.action,
    status,
    error?.code,
    identity,
  ]);
  assert.deepEqual(observed, [
    ['getToken', 200, undefined, anonymousIdentity],
    ['getToken', 200, undefined, alice],
    ['postToken', 401, 'UNAUTHORIZED', undefined],
  ]);
  const [login, failed, ...more] = server.events;
  assert.equal(more.length, 0);
  assert.deepEqual([login?.allowed, login?.identity, login?.address], [true, alice, '192.0.2.7']);
  assert.deepEqual([failed?.allowed, failed?.error], [false, 'UNAUTHORIZED']);
  assert.deepEqual(failed?.identity.principal, { kind: 'holder', name: 'mallory' });
  assert.doesNotMatch(JSON.stringify(server.events), /canary|secret/);
});

test('a token request for a repository is recorded only if it fails or asks for a refresh token', async (t) => {
  const server = await setUp(t);
  const { id } = await withAlice(server);
  const scope = 'repository:alice/app:pull';
  const logins = async (ask: () => Promise<{ status: number }>) => {
    server.events.length = 0;
    const { status } = await ask();
    return [status, server.events.map(({ action, allowed }) => [action, allowed])];
  };
  const password = { grant_type: 'password', username: 'alice', password: 'secret' };
  const login = [['login', true]];
  for (const [what, ask, events] of [
    ['GET', () => server.get(`?scope=${scope}`, 'alice:secret'), []],
    ['GET, the catalog', () => server.get('?scope=registry:catalog:*', 'alice:secret'), []],
    ['POST', () => server.post({ ...password, scope }), []],
    ['GET, of no repository', () => server.get('', 'alice:secret'), login],
    ['GET, offline', () => server.get(`?scope=${scope}&offline_token=true`, 'alice:secret'), login],
    ['POST, of no repository', () => server.post(password), login],
    ['POST, offline', () => server.post({ ...password, scope, access_type: 'offline' }), login],
  ] as const) {
    assert.deepEqual(await logins(ask), [200, events], what);
  }
  const refused = [401, [['login', false]]];
  assert.deepEqual(await logins(() => server.get(`?scope=${scope}`, 'alice:wrong')), refused);
  assert.deepEqual(await logins(() => server.post({ ...password, password: 'wrong', scope })), refused);
  const identity: Identity = {
    principal: { kind: 'user', id, name: 'alice' },
    credential: { kind: 'password', since: 1 },
  };
  const refresh_token = await server.tokens.issueRefresh(identity);
  const again = () => server.post({ grant_type: 'refresh_token', refresh_token });
  assert.deepEqual(await logins(again), [200, []], 'recorded when it was issued');
});

test('counts the received bytes of a form, with or without Content-Length', async (t) => {
  const server = await setUp(t);
  const form = 'grant_type=password&username=alice&password=wrong';
  const answer = await server.http.inject({
    method: 'POST',
    url: '/auth/token',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    payload: Readable.from([form]),
  });
  assert.equal(answer.statusCode, 401);
  assert.equal(server.served[0]?.received, form.length);
});

test('token requests count towards the request limits of the address and the user', async (t) => {
  const database = await (dialects[0] as (typeof dialects)[number]).open(t);
  const settings = { requestsPerAddress: 4, requestsPerUser: 2, pullWindow: 60_000 };
  const limits = limitsOf(settings, { database, uncounted: () => assert.fail() });
  const server = await setUp(t, { limits });
  await withAlice(server);
  const statuses: unknown[] = [];
  const ask = async (answer: ReturnType<Server['get']>) => {
    const { status, headers, body } = await answer;
    statuses.push([status, headers['retry-after'], body.errors?.[0].detail]);
  };
  const password = { grant_type: 'password', username: 'alice', password: 'secret' };
  await ask(server.get('', 'alice:secret'));
  await ask(server.post(password));
  await ask(server.get('', 'alice:secret'));
  limits?.countByAddress({ client: { address: '192.0.2.7' } });
  await ask(server.get(''));
  await ask(server.post(password));
  const ofUser = [429, '30', 'too many requests by alice: at most 2 in a minute'];
  const ofAddress = [429, '15', 'too many requests from this address: at most 4 in a minute'];
  assert.deepEqual(statuses, [
    [200, undefined, undefined],
    [200, undefined, undefined],
    ofUser,
    ofAddress,
    ofAddress,
  ]);
});
