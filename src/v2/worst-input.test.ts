// A4: no request blocks the event loop. Each route gets the worst input that it accepts, from a caller whose access token has the
// maximum number of scopes, each as expensive to match as possible.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import type { FastifyInstance } from 'fastify';
import { origin, TestBrowser } from '../../test/support/browser.ts';
import {
  digestsOf,
  insertBlobs,
  insertManifests,
  insertRepositories,
  insertTags,
} from '../../test/support/crowd.ts';
import {
  Client,
  type Descriptor,
  type Document,
  digestOf,
  imageOf,
  indexOf,
  ociConfig,
  ociLayer,
  ociManifest,
  refer,
  serialize,
  unknownUpload,
} from '../../test/support/inject.ts';
import { longestTurnOf, totalOf } from '../../test/support/main-thread.ts';
import { basic } from '../../test/support/people.ts';
import { testRegistry } from '../../test/support/registry.ts';
import { createAccessToken } from '../administration/access-tokens.ts';
import { createUser } from '../administration/users.ts';
import { insertAccessToken } from '../db/access-tokens.ts';
import { findAccount } from '../db/accounts.ts';
import type { Database } from '../db/database.ts';
import { noOrigin } from '../db/origins.ts';
import type { Digest } from '../oci/digest.ts';
import type { AccountName } from '../oci/name.ts';
import { fallbackTag } from '../oci/reference.ts';
import { type Action, rightOf } from './routes.ts';

/** Milliseconds of the main thread: in one turn of the event loop, and in total unless a row has its own limit. */
const bound = 50;
/** Milliseconds in total, for work split into turns; on a busy machine the same work takes three times as long. */
const inTurns = 500;

interface Row {
  readonly what: string;
  /** Milliseconds in total. */
  readonly total?: typeof inTurns;
  /** Creates the content of the request. */
  readonly prepare?: () => Promise<unknown>;
  readonly send: () => Promise<{ status: number }>;
  readonly status: number;
}

const limit = 4 << 20;
const namespace = `mallory/${'a'.repeat(200)}`;
const app = `${namespace}/app`;
/** Scopes whose patterns nearly match every name of the attacker. */
const hard = Array.from({ length: 99 }, (_, i) => `repository:**/*${'a'.repeat(80 + i)}*b*/*:pull`);

interface Parts {
  readonly database: Database;
  /** Has all rights below `mallory/`, by the last of a hundred scopes. */
  readonly attacker: Client;
  /** An administrator whose scopes match no repository. */
  readonly searcher: Client;
  readonly http: FastifyInstance;
  /** A browser in which the attacker is signed in. */
  readonly account: TestBrowser;
}

async function setUp(t: TestContext): Promise<Parts> {
  // On SQLite, which works on this thread; PostgreSQL works in its own process.
  const settings = { anonymous: 'none', externalUrl: origin };
  const { app: registry, database } = await testRegistry(t, settings, async () => ({}));
  const password = 'a password of mallory';
  await createUser(database, { name: 'mallory', password });
  const login = async (name: string, scopes: readonly string[]) => {
    const owner = { kind: 'user', name } as const;
    return basic(name, (await createAccessToken(database, { owner, scopes, lifetime: null })).token);
  };
  const { http } = registry;
  const client = new Client(http);
  const account = new TestBrowser(http);
  await account.post('/auth/sign-in', { username: 'mallory', password });
  return {
    database,
    http,
    account,
    attacker: client.as(await login('mallory', [...hard, 'repository:**:*'])),
    searcher: client.as(await login('admin', [...hard, 'repository:**/zzz:*'])),
  };
}

type Rows = (parts: Parts) => readonly Row[] | Promise<readonly Row[]>;

const rowsOf: Record<Action, Rows> = {
  getBase: ({ attacker }) => [
    { what: 'a query of 16 kB', send: () => attacker.get(`/v2/?${'a&'.repeat(8_000)}`), status: 200 },
  ],

  async listRepositories({ database, attacker, searcher }) {
    const number = (i: number) => String(i).padStart(6, '0');
    await insertRepositories(
      database,
      Array.from({ length: 6_000 }, (_, i) => `hidden/${number(i)}`),
    );
    await insertRepositories(
      database,
      Array.from({ length: 3_000 }, (_, i) => `${namespace}/${number(i)}`),
    );
    return [
      { what: '6,000 hidden repositories', send: () => searcher.get('/v2/_catalog?n=100'), status: 200 },
      {
        what: '3,000 repositories that nearly match',
        total: inTurns,
        send: () => searcher.get(`/v2/_catalog?last=${namespace}`),
        status: 200,
      },
      {
        what: '10,000 a page',
        total: inTurns,
        send: () => attacker.get('/v2/_catalog?n=10000'),
        status: 200,
      },
    ];
  },

  async listTags({ database, attacker }) {
    const repository = `${namespace}/tags`;
    const digest = await pushIndex(attacker, repository);
    await insertTags(database, { repository, digest }, 20_000);
    return [{ what: '10,000 a page', send: () => attacker.get(`/v2/${repository}/tags/list`), status: 200 }];
  },

  getManifest({ attacker }) {
    let digest = '';
    // A new one each time, as the registry caches.
    const prepare = async () => {
      digest = await pushIndex(attacker, app, { annotations: { a: randomBytes(1 << 20).toString('hex') } });
    };
    const path = () => `/v2/${app}/manifests/${digest}`;
    return [
      { what: '2 MiB', prepare, send: () => attacker.get(path()), status: 200 },
      {
        what: 'an If-None-Match of 15 kB',
        prepare,
        send: () => attacker.get(path(), { 'if-none-match': '"a",'.repeat(3_800) }),
        status: 200,
      },
    ];
  },

  async putManifest({ database, attacker }) {
    const config = await attacker.pushContent(app, '{}', ociConfig);
    const held = digestsOf('layer', 10_000);
    await insertBlobs(database, app, held);
    const layers = held.map((digest) => ({ mediaType: ociLayer, digest, size: 1 }));
    const tags = Array.from({ length: 100 }, (_, i) => `tag=t${i}`).join('&');
    let salt = 0;
    let bytes: Buffer = Buffer.alloc(0);
    let path = '';
    const put = (what: string, document: () => Document | string, more: Partial<Row> = {}): Row => ({
      what,
      // All different, so that each is stored.
      async prepare() {
        bytes = salted(document(), ++salt);
        assert.ok(bytes.length <= limit, `${bytes.length} bytes`);
        path = `/v2/${app}/manifests/${digestOf(bytes)}?${tags}`;
      },
      send: () => attacker.send('PUT', path, {}, bytes),
      status: 201,
      ...more,
    });
    const fill = (size: number, text: string) => text.repeat(Math.floor(size / Buffer.byteLength(text)));
    const room = limit - 2_000;
    const keys = (count: number, value: string) =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [`key${salt}.${i}`, value]));
    return [
      put('10,000 layers', () => imageOf(config, layers), { total: inTurns }),
      put('10,000 children', () => indexOf(children(`index ${salt}`, 10_000)), { total: inTurns }),
      put('4 MiB of data', () => imageOf({ ...config, data: fill(room, 'A') }, []), { total: inTurns }),
      put('9,000 annotations', () => imageOf(config, [], { annotations: keys(9_000, fill(440, 'v')) }), {
        total: inTurns,
      }),
      put('4 MiB of escapes', () => `{"x":"${fill(room, '\\"')}",`, { total: inTurns }),
      put('4 MiB of two-byte letters', () => imageOf(config, [], { annotations: { a: fill(room, 'é') } }), {
        total: inTurns,
      }),
      put('objects of 9,000 shapes', () => imageOf(config, [], { x: shapes(3_000, 3) }), { total: inTurns }),
      put('objects of 60,000 shapes', () => imageOf(config, [], { x: shapes(30_000, 2) }), { status: 400 }),
      put('99,000 annotations', () => imageOf(config, [], { annotations: keys(99_000, 'v') }), {
        status: 400,
        total: inTurns,
      }),
      put('4 MiB of brackets', () => `{"x":${fill(room, '[')},`, { status: 400 }),
      put('4 MiB of numbers', () => `{"x":[${fill(room, '0,')}0],`, { status: 400 }),
    ];
  },

  deleteManifest({ database, attacker }) {
    const repository = `${namespace}/deleted`;
    let digest = '';
    return [
      {
        what: '10,000 children and 10,000 tags',
        total: inTurns,
        prepare: async () => {
          digest = await pushIndex(attacker, repository, { manifests: children('deleted', 10_000) });
          await insertTags(database, { repository, digest }, 10_000);
        },
        send: () => attacker.delete(`/v2/${repository}/manifests/${digest}`),
        status: 202,
      },
    ];
  },

  async getBlob({ attacker }) {
    const digest = await attacker.pushBlob(app, randomBytes(1 << 20));
    const ranges = Array.from({ length: 256 }, (_, i) => `${i * 4_000}-${i * 4_000 + 3_999}`).join(',');
    const send = () => attacker.get(`/v2/${app}/blobs/${digest}`, { range: `bytes=${ranges}` });
    return [{ what: '256 ranges', total: inTurns, send, status: 206 }];
  },

  async deleteBlob({ database, attacker }) {
    const blob = await attacker.pushBlob(app, 'needed by many');
    await insertManifests(database, { repository: app, digests: digestsOf('user', 10_000), blob });
    const send = () => attacker.delete(`/v2/${app}/blobs/${blob}`);
    return [{ what: 'a blob that 10,000 manifests need', send, status: 405 }];
  },

  async startUpload({ database, attacker }) {
    const shared = digestOf('shared');
    for (let i = 0; i < 100; i++) await insertBlobs(database, `bob/${'a'.repeat(200)}/${i}`, [shared]);
    const post = (query: string) => attacker.send('POST', `/v2/${app}/blobs/uploads/?${query}`);
    return [
      {
        what: 'a mount of a blob that 100 hidden repositories hold',
        total: inTurns,
        send: () => post(`mount=${shared}`),
        status: 202,
      },
      { what: 'a query of 16 kB', send: () => post('mount=a&'.repeat(2_000)), status: 400 },
    ];
  },

  getUpload: ({ attacker }) => [
    {
      what: 'an unknown session',
      send: () => attacker.get(`/v2/${app}/blobs/uploads/${unknownUpload}`),
      status: 404,
    },
  ],
  deleteUpload: ({ attacker }) => [
    {
      what: 'an unknown session',
      send: () => attacker.delete(`/v2/${app}/blobs/uploads/${unknownUpload}`),
      status: 404,
    },
  ],

  // A blob's cost grows with its bytes, which are hashed as they arrive.
  patchUpload({ attacker }) {
    let location = '';
    const prepare = async () => {
      location = await attacker.openUpload(app);
    };
    const send = () => attacker.patch(location, Buffer.alloc(16 << 20));
    return [{ what: '16 MiB', total: inTurns, prepare, send, status: 202 }];
  },
  putUpload({ attacker }) {
    let location = '';
    const prepare = async () => {
      location = await attacker.openUpload(app);
    };
    const bytes = randomBytes(16 << 20);
    const send = () => attacker.finish(location, digestOf(bytes), bytes);
    return [{ what: '16 MiB', total: inTurns, prepare, send, status: 201 }];
  },

  async listReferrers({ database, attacker }) {
    const repository = `${namespace}/referrers`;
    const subjects = ['large', 'many', 'old', 'typed'].map((text) => digestOf(text));
    const [large, many, old, typed] = subjects as [string, string, string, string];
    const list = (subject: string, query = '') =>
      attacker.get(`/v2/${repository}/referrers/${subject}${query}`);
    const annotations = JSON.stringify({ a: 'a'.repeat(limit - 1_000) });
    const bytes = Buffer.alloc(limit);
    await insertManifests(database, {
      repository,
      digests: digestsOf('large', 4),
      subject: large,
      annotations,
      bytes,
    });
    await insertManifests(database, { repository, digests: digestsOf('many', 25_000), subject: many });
    const sbom = 'application/vnd.example.sbom';
    const others = { repository, digests: digestsOf('typed', 5_000), subject: typed, artifactType: sbom };
    await insertManifests(database, others);
    await insertManifests(database, {
      repository,
      digests: digestsOf('child', 2_000),
      bytes: Buffer.alloc(5_000),
    });
    await pushIndex(
      attacker,
      repository,
      { manifests: children('child', 10_000) },
      fallbackTag(old as Digest),
    );
    return [
      {
        what: 'one of four referrers with 4 MB of annotations',
        send: () => list(large, '?n=1'),
        status: 200,
      },
      { what: 'referrers with 4 MB of annotations', send: () => list(large), status: 200 },
      { what: '4 MiB of small referrers', total: inTurns, send: () => list(many), status: 200 },
      {
        what: 'a type that none of 5,000 referrers has',
        send: () => list(typed, '?artifactType=a/b'),
        status: 200,
      },
      {
        what: 'one of 10,000 under the fallback tag',
        total: inTurns,
        send: () => list(old, '?n=1'),
        status: 200,
      },
      { what: 'all of 10,000 under the fallback tag', total: inTurns, send: () => list(old), status: 200 },
    ];
  },
};

test('no request to the registry API blocks the event loop for more than 50 ms', async (t) => {
  assert.deepEqual(Object.keys(rowsOf).sort(), Object.keys(rightOf).sort(), 'a row for each route');
  const parts = await setUp(t);
  for (const [action, rows] of Object.entries(rowsOf)) {
    for (const row of await rows(parts)) await check(t, action, row);
  }
});

/** Routes outside `/v2`, by registered method and path. */
const otherRows: Record<string, Rows> = {
  'GET /healthz': ({ attacker }) => [fetched(attacker, '/healthz', 200)],
  'GET /readyz': ({ attacker }) => [fetched(attacker, '/readyz', 200)],
  'GET /metrics': ({ attacker }) => [fetched(attacker, '/metrics', 403)],
  'GET /': ({ attacker }) => [fetched(attacker, `/?${'a&'.repeat(8_000)}`, 200)],

  async 'GET /auth/token'({ database, attacker }) {
    const names = Array.from({ length: 25 }, (_, i) => `${namespace}/${'a'.repeat(20)}/${i}`);
    await insertRepositories(database, names);
    const asked = names.map((name) => `scope=repository:${name}:pull,push`).join('&');
    const short = Array.from(
      { length: 100 },
      (_, i) => `scope=repository:mallory/${'a'.repeat(30)}/${i}:*`,
    ).join('&');
    return [
      { ...fetched(attacker, `/auth/token?service=x&${asked}`, 200), total: inTurns },
      { ...fetched(attacker, `/auth/token?service=y&${short}`, 200), total: inTurns },
      fetched(attacker, `/auth/token?${'scope=a&'.repeat(2_000)}`, 400),
    ];
  },
  'POST /auth/token': (parts) => [
    posted(parts, '/auth/token', `grant_type=password&${'scope=a&'.repeat(8_000)}`, 400),
    posted(parts, '/auth/token', `grant_type=refresh_token&refresh_token=${'a.'.repeat(32_000)}`, 401),
  ],

  'GET /auth/sign-in': ({ attacker }) => [fetched(attacker, `/auth/sign-in?to=${'/..'.repeat(5_000)}`, 200)],
  'POST /auth/sign-in': (parts) => [
    posted(parts, '/auth/sign-in', `username=${'a'.repeat(16_000)}&password=x`, 403),
  ],
  'POST /auth/sign-out': (parts) => [posted(parts, '/auth/sign-out', 'a&'.repeat(8_000), 403)],

  async 'GET /auth/account'({ database, account }) {
    const owner = (await findAccount(database.read, 'mallory' as AccountName))?.id as number;
    await database.transaction(async (db) => {
      for (let i = 0; i < 1_000; i++) {
        const token = {
          ...noOrigin,
          account: owner,
          name: 'x',
          hash: `${i}`,
          scopes: hard.join(' '),
          expiresAt: null,
        };
        await insertAccessToken(db, token, 1);
      }
    });
    return [
      {
        what: 'a thousand tokens of 100 scopes',
        send: () => statusOf(account.get('/auth/account')),
        status: 200,
      },
    ];
  },
  async 'POST /auth/account/tokens'({ account }) {
    const form = await account.formToken();
    const scopes = hard.join(' ').slice(0, 15_000);
    const fields = { form, name: 'x', days: 'never', scopes: scopes.slice(0, scopes.lastIndexOf(' ')) };
    return [
      {
        what: '15 kB of scopes',
        send: () => statusOf(account.post('/auth/account/tokens', fields)),
        status: 200,
      },
    ];
  },
  async 'POST /auth/account/password'({ account }) {
    const long = 'e\u0301'.repeat(550);
    const fields = { form: await account.formToken(), current: long, password: long, again: long };
    return [
      {
        what: '15 kB of passwords that are not normalized',
        // It waits for two hashes, and other work of the process in that time is counted too.
        total: inTurns,
        send: () => statusOf(account.post('/auth/account/password', fields)),
        status: 400,
      },
    ];
  },
  async 'POST /auth/account/tokens/revoke'({ account }) {
    const fields = { form: await account.formToken(), id: '9'.repeat(15) };
    return [
      {
        what: 'an unknown token',
        send: () => statusOf(account.post('/auth/account/tokens/revoke', fields)),
        status: 400,
      },
    ];
  },
};

test('no other request blocks the event loop for more than 50 ms', async (t) => {
  const parts = await setUp(t);
  // A HEAD does what the GET does.
  const registered = registeredRoutes(parts.http).filter((route) => !/ \/v2|^HEAD /.test(route));
  assert.deepEqual(Object.keys(otherRows).sort(), registered.sort(), 'a row for each route');
  for (const [route, rows] of Object.entries(otherRows)) {
    for (const row of await rows(parts)) await check(t, route, row);
  }
});

/** `METHOD /path` of each route, parsed from the tree that Fastify prints. */
function registeredRoutes(http: FastifyInstance): string[] {
  const parents: string[] = [];
  return http
    .printRoutes({ commonPrefix: false })
    .split('\n')
    .flatMap((line) => {
      const [, indent = '', part = '', methods = ''] = /^([│ ]*)[├└]── (\S+) \(([^)]*)\)$/.exec(line) ?? [];
      if (methods === '') return [];
      parents.length = indent.length / 4;
      const path = parents.join('') + part;
      parents.push(part);
      return methods.split(', ').map((method) => `${method} ${path}`);
    });
}

function fetched(client: Client, url: string, status: number): Row {
  return { what: `${url.slice(0, 30)}, ${url.length} bytes`, send: () => client.fetch('GET', url), status };
}

/** A form sent from a page of another site. */
function posted({ http }: Parts, url: string, payload: string, status: number): Row {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const send = () => statusOf(http.inject({ method: 'POST', url, headers, payload }));
  return { what: `a form of ${payload.length} bytes`, send, status };
}

async function statusOf(answer: PromiseLike<{ statusCode: number }>): Promise<{ status: number }> {
  return { status: (await answer).statusCode };
}

async function check(t: TestContext, route: string, { what, total, prepare, send, status }: Row) {
  await t.test(`${route}: ${what}`, async (t) => {
    const answered = async () => assert.equal((await send()).status, status);
    const turns: number[] = [];
    // The better of two runs: in the first, the engine compiles.
    for (let i = 0; i < 2; i++) {
      await prepare?.();
      turns.push(await longestTurnOf(answered));
    }
    await prepare?.();
    const all = await totalOf(answered);
    const turn = Math.min(...turns);
    t.diagnostic(`${route}, ${what}: ${turn.toFixed(1)} ms in one turn, ${all.toFixed(1)} ms in all`);
    assert.ok(turn <= bound, `${turn} ms in one turn`);
    assert.ok(all <= (total ?? bound), `${all} ms in all`);
  });
}

/** Pushes an index; returns its digest. */
async function pushIndex(
  client: Client,
  repository: string,
  fields: Document = {},
  tag?: string,
): Promise<string> {
  return (await client.pushManifest(repository, indexOf([], fields), tag)).digest;
}

function children(what: string, count: number): Descriptor[] {
  return digestsOf(what, count).map((digest) => ({ mediaType: ociManifest, digest, size: 1 }));
}

/** Objects of different shapes, with keys from a small set. */
function shapes(count: number, keys: number): Document[] {
  return Array.from({ length: count }, (_, i) =>
    Object.fromEntries(Array.from({ length: keys }, (_, k) => [`k${(i * (k + 1)) % 9_973}.${k}`, 1])),
  );
}

/** A unique document; a text is the start of an image. */
function salted(document: Document | string, salt: number): Buffer {
  if (typeof document !== 'string') return serialize({ ...document, salt });
  const { schemaVersion, mediaType, ...rest } = imageOf(
    refer({ digest: digestOf('{}'), bytes: Buffer.from('{}'), mediaType: ociConfig }),
    [],
  );
  return Buffer.from(`${document}${JSON.stringify({ schemaVersion, mediaType, ...rest, salt }).slice(1)}`);
}
