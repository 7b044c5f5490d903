import assert from 'node:assert/strict';
import { createHmac, createSign, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { calculateJwkThumbprint, decodeJwt, decodeProtectedHeader, exportJWK, type JWK } from 'jose';
import { anyText } from '../../../test/support/any-text.ts';
import { dialects } from '../../../test/support/databases.ts';
import { tokenOfLength } from '../../../test/support/token-length.ts';
import type { Database } from '../../db/database.ts';
import { listSigningKeys } from '../../db/signing-keys.ts';
import type { RegistryError } from '../../oci/errors.ts';
import { parseName } from '../../oci/name.ts';
import { anonymousIdentity, type Identity } from '../identity.ts';
import { BearerTokens } from './bearer.ts';
import { makeSigningKey, SigningKeys } from './signing-keys.ts';
import type { BearerToken } from './token-verifier.ts';

const now = Date.UTC(2026, 0, 1, 12);
const seconds = now / 1000;
const minute = 60_000;
const app = parseName('acme/app');
const alice: Identity = {
  principal: { kind: 'user', id: 7, name: 'alice' },
  credential: { kind: 'password', since: 5 },
};
const settings = { lifetime: 5 * minute, refreshLifetime: 60 * minute, passwordLogin: true };
const refused = { name: 'RegistryError', code: 'UNAUTHORIZED', detail: undefined };

async function setUp(t: TestContext, dialect = dialects[0]) {
  const database = await dialect!.open(t);
  const time = { now };
  const clock = (): number => time.now;
  const keys = new SigningKeys({ database, clock });
  const tokens = new BearerTokens({ keys, clock, ...settings });
  return { database, time, clock, keys, tokens, verify: async (token: string) => tokens.verify(token) };
}

for (const dialect of dialects) {
  test(`${dialect.name}: a token has the identity and access that it was issued with`, async (t) => {
    const { tokens, verify } = await setUp(t, dialect);
    const granted = [
      { name: app, actions: ['pull', 'push'] as const, repository: 3 },
      { name: parseName('acme/new'), actions: ['create'] as const, repository: undefined },
    ];
    const { token, expiresIn, issuedAt } = await tokens.issue(alice, granted, true);
    assert.deepEqual([expiresIn, issuedAt], [300, now]);
    assert.deepEqual([decodeProtectedHeader(token).typ, decodeJwt(token).aud], ['at+jwt', 'berth']);
    const expected: BearerToken = {
      identity: alice,
      granted: new Map(granted.map((one) => [one.name, one])),
      catalog: true,
      expires: now + 5 * minute,
    };
    assert.deepEqual(await verify(token), expected);
    assert.deepEqual(tokens.verify(token), expected, 'no wait for a known key');
  });
}

test('a token issued for a password is refused once passwords are not accepted', async (t) => {
  const { tokens, keys, clock } = await setUp(t);
  const restarted = new BearerTokens({ keys, clock, ...settings, passwordLogin: false });
  const byToken: Identity = { ...alice, credential: { kind: 'token', id: 1 } };
  for (const identity of [alice, byToken]) {
    const { token } = await tokens.issue(identity, [], true);
    const refresh = await tokens.issueRefresh(identity);
    await tokens.verify(token);
    if (identity === alice) {
      await assert.rejects(async () => restarted.verify(token), refused);
      await assert.rejects(restarted.verifyRefresh(refresh), refused);
    } else {
      assert.deepEqual((await restarted.verify(token)).identity, identity);
      assert.deepEqual(await restarted.verifyRefresh(refresh), identity);
    }
  }
});

const identities: readonly Identity[] = [
  anonymousIdentity,
  alice,
  { principal: { kind: 'robot', id: 9, name: 'acme+ci' }, credential: { kind: 'token', id: 4 } },
  {
    principal: { kind: 'job', trust: 2, subject: 'repo:acme/app', name: 'acme' },
    credential: { kind: 'id-token', trust: 2, since: 6, terms: 5 },
  },
];

for (const identity of identities) {
  test(`tokens and refresh tokens of kind ${identity.principal.kind} name their identity`, async (t) => {
    const { tokens, verify } = await setUp(t);
    assert.deepEqual((await verify((await tokens.issue(identity, [], false)).token)).identity, identity);
    assert.deepEqual(await tokens.verifyRefresh(await tokens.issueRefresh(identity)), identity);
  });
}

test('an identity of another token server gets no token', async (t) => {
  const { tokens, verify } = await setUp(t);
  const holder: Identity = { principal: { kind: 'holder', name: 'x' }, credential: { kind: 'foreign' } };
  await assert.rejects(verify((await tokens.issue(holder, [], false)).token), refused);
});

test('a token ends half a minute after its expiry, cached or not', async (t) => {
  const { tokens, verify, time, clock, keys } = await setUp(t);
  const { token } = await tokens.issue(alice, [], false);
  const other = new BearerTokens({ keys, clock, lifetime: 1, refreshLifetime: 1, passwordLogin: true });
  for (const verified of [verify, async (one: string) => other.verify(one)]) {
    time.now = now;
    await verified(token);
    time.now = now + 5 * minute + 29_000;
    await verified(token);
    time.now = now + 5 * minute + 30_000;
    await assert.rejects(verified(token), refused);
  }
  time.now = now;
  const fresh = new BearerTokens({ keys, clock, lifetime: 1, refreshLifetime: 1, passwordLogin: true });
  time.now = now + 5 * minute + 30_000;
  await assert.rejects(async () => fresh.verify(token), refused);
});

test('a refresh token expires', async (t) => {
  const { tokens, time } = await setUp(t);
  const [usual, short] = [await tokens.issueRefresh(alice), await tokens.issueRefresh(alice, minute)];
  time.now = now + 2 * minute;
  assert.deepEqual(await tokens.verifyRefresh(usual), alice);
  await assert.rejects(tokens.verifyRefresh(short), refused);
  time.now = now + 61 * minute;
  await assert.rejects(tokens.verifyRefresh(usual), refused);
});

test('access tokens and refresh tokens are not accepted as each other', async (t) => {
  const { tokens, verify } = await setUp(t);
  await assert.rejects(verify(await tokens.issueRefresh(alice)), refused);
  await assert.rejects(tokens.verifyRefresh((await tokens.issue(alice, [], false)).token), refused);
});

test('a known token is refused once its key has been revoked', async (t) => {
  const { tokens, verify, time, database } = await setUp(t);
  const { token } = await tokens.issue(alice, [], false);
  await verify(token);
  await database.transaction((db) => db.deleteFrom('signing_keys').execute().then());
  time.now += 14_999;
  await verify(token);
  time.now += 1;
  for (const when of ['as the keys are read', 'when they have been read']) {
    await assert.rejects(verify(token), refused, when);
  }
});

/** Header and claims as Berth writes them, for the forgeries. */
interface Forged {
  header: Record<string, unknown>;
  claims: Record<string, unknown>;
}

interface Keys {
  readonly id: string;
  readonly own: KeyObject;
  readonly public: KeyObject;
}

async function ownKeys(database: Database, keys: SigningKeys): Promise<Keys> {
  const { id, privateKey, publicKey } = await keys.signer();
  assert.equal((await listSigningKeys(database.read))[0]?.id, id);
  return { id, own: privateKey, public: publicKey };
}

const encode = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

function sign(
  header: unknown,
  claims: unknown,
  key: KeyObject,
  dsaEncoding: 'ieee-p1363' | 'der' = 'ieee-p1363',
) {
  const input = `${encode(header)}.${encode(claims)}`;
  return `${input}.${createSign('sha256').update(input).sign({ key, dsaEncoding }).toString('base64url')}`;
}

function mac(header: unknown, claims: unknown, secret: string | Buffer): string {
  const input = `${encode(header)}.${encode(claims)}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const strangerRsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const strangerJwk = stranger.publicKey.export({ format: 'jwk' }) as JWK;

type Forgery = (good: Forged, keys: Keys) => string | Promise<string>;

function withHeader(header: Record<string, unknown>, key: KeyObject = stranger.privateKey): Forgery {
  return (good) => sign({ ...good.header, ...header }, good.claims, key);
}

/** Signed by the registry's own key, but wrong in another way. */
function withClaims(claims: Record<string, unknown>): Forgery {
  return (good, keys) => sign(good.header, { ...good.claims, ...claims }, keys.own);
}

const forgeries: Record<string, Forgery> = {
  'an empty text': () => '',
  'one part': () => 'eyJ',
  'two parts': (good) => `${encode(good.header)}.${encode(good.claims)}`,
  'five parts': (good) => `${encode(good.header)}.a.b.${encode(good.claims)}.c`,
  'no header': (good, keys) => sign('', good.claims, keys.own),
  'a header that is not JSON': (good, keys) => sign('{', good.claims, keys.own),
  'a header that is a list': (good, keys) => sign([], good.claims, keys.own),
  'a header that is null': (good, keys) => sign('null', good.claims, keys.own),
  'alg none, without a signature': ({ header, claims }) =>
    `${encode({ ...header, alg: 'none' })}.${encode(claims)}.`,
  'alg None, with a signature': withHeader({ alg: 'None' }),
  'no alg': (good, keys) => sign({ ...good.header, alg: undefined }, good.claims, keys.own),
  'an alg that is a list': withHeader({ alg: ['ES256'] }),
  'HS256 with the public key in PEM as secret': (good, keys) =>
    mac({ ...good.header, alg: 'HS256' }, good.claims, keys.public.export({ format: 'pem', type: 'spki' })),
  'HS256 with the public key in DER as secret': (good, keys) =>
    mac({ ...good.header, alg: 'HS256' }, good.claims, keys.public.export({ format: 'der', type: 'spki' })),
  'HS256 with the public key as JWK as secret': async (good, keys) =>
    mac({ ...good.header, alg: 'HS256' }, good.claims, JSON.stringify(await exportJWK(keys.public))),
  'HS256 with an empty secret': (good) => mac({ ...good.header, alg: 'HS256' }, good.claims, ''),
  'HS256 with the kid as secret': (good, keys) => mac({ ...good.header, alg: 'HS256' }, good.claims, keys.id),
  RS256: withHeader({ alg: 'RS256' }, strangerRsa.privateKey),
  ES384: withHeader({ alg: 'ES384' }),
  'a known kid, signed by a stranger': withHeader({}),
  'a known kid, with a key of its own': withHeader({ jwk: strangerJwk }),
  'a known kid, with a certificate of its own': withHeader({ x5c: ['MIIB'] }),
  'a known kid, with the URL of a key': withHeader({ jku: 'https://attacker.example/keys' }),
  'a known kid, with the URL of a certificate': withHeader({ x5u: 'https://attacker.example/cert' }),
  "the stranger's own kid and key": async (good) =>
    sign(
      { ...good.header, kid: await calculateJwkThumbprint(strangerJwk), jwk: strangerJwk },
      good.claims,
      stranger.privateKey,
    ),
  'a kid that is a path': withHeader({ kid: '../../../../dev/null' }),
  'a kid that is SQL': withHeader({ kid: "' or '1'='1" }),
  'a kid with a zero byte': withHeader({ kid: '\0' }),
  'a kid that is a property of Object': withHeader({ kid: '__proto__' }),
  'an empty kid': withHeader({ kid: '' }),
  'a kid that is a number': withHeader({ kid: 1 }),
  'a kid that is an object': withHeader({ kid: {} }),
  'no kid': (good, keys) => sign({ ...good.header, kid: undefined }, good.claims, keys.own),
  'an empty signature': (good, keys) => sign(good.header, good.claims, keys.own).replace(/[^.]*$/, ''),
  'a signature of zeros': (good, keys) =>
    sign(good.header, good.claims, keys.own).replace(/[^.]*$/, Buffer.alloc(64).toString('base64url')),
  'a signature in DER': (good, keys) => sign(good.header, good.claims, keys.own, 'der'),
  'a critical extension': (good, keys) => sign({ ...good.header, crit: ['x'], x: 1 }, good.claims, keys.own),
  'claims that are not encoded': (good, keys) =>
    sign({ ...good.header, crit: ['b64'], b64: false }, good.claims, keys.own),
  'another typ': (good, keys) => sign({ ...good.header, typ: 'JWT' }, good.claims, keys.own),
  'no typ': (good, keys) => sign({ ...good.header, typ: undefined }, good.claims, keys.own),
  'claims of another token': (good, keys) => {
    const [header, , signature] = sign(good.header, good.claims, keys.own).split('.');
    return `${header}.${encode({ ...good.claims, sub: 'user:1' })}.${signature}`;
  },
  'claims that are a list': (good, keys) => sign(good.header, [good.claims], keys.own),
  'claims that are null': (good, keys) => sign(good.header, 'null', keys.own),
  'claims that are a text': (good, keys) => sign(good.header, '"x"', keys.own),
  'claims that are not JSON': (good, keys) => sign(good.header, '{', keys.own),
  'a second audience before the right one': (good, keys) => {
    const [header, , signature] = sign(good.header, good.claims, keys.own).split('.');
    return `${header}.${encode(JSON.stringify(good.claims).replace('{', '{"aud":"other",'))}.${signature}`;
  },
  'another audience': withClaims({ aud: 'other' }),
  'other audiences': withClaims({ aud: ['other', 'more'] }),
  "the refresh tokens' audience": withClaims({ aud: 'berth/auth/token' }),
  'no audience': withClaims({ aud: undefined }),
  'another issuer': withClaims({ iss: 'https://attacker.example' }),
  'no issuer': withClaims({ iss: undefined }),
  'no iat': withClaims({ iat: undefined }),
  'no exp': withClaims({ exp: undefined }),
  'no nbf': withClaims({ nbf: undefined }),
  'an iat that is a text': withClaims({ iat: `${seconds}` }),
  'an exp that is a text': withClaims({ exp: `${seconds + 300}` }),
  'an nbf that is a text': withClaims({ nbf: `${seconds}` }),
  expired: withClaims({ exp: seconds - 30 }),
  'not yet valid': withClaims({ nbf: seconds + 31 }),
  'access that is an object': withClaims({ access: {} }),
  'access with a null entry': withClaims({ access: [null] }),
  'access with actions that are a text': withClaims({
    access: [{ type: 'repository', name: 'acme/app', actions: 'pull' }],
  }),
  'no principal': withClaims({ principal: undefined }),
  'a principal without an id': withClaims({ principal: { kind: 'user', name: 'alice' } }),
  'a principal whose id is a text': withClaims({ principal: { kind: 'user', id: '7', name: 'alice' } }),
  'a principal without a name': withClaims({ principal: { kind: 'user', id: 7 } }),
  'a principal of another kind': withClaims({ principal: { kind: 'root', id: 7, name: 'alice' } }),
  'a job without a subject': withClaims({ principal: { kind: 'job', trust: 1, name: 'x' } }),
  'a principal that is a text': withClaims({ principal: 'alice' }),
  'no credential': withClaims({ credential: undefined }),
  'a credential of another kind': withClaims({ credential: { kind: 'foreign' } }),
  'a password without its time': withClaims({ credential: { kind: 'password' } }),
  'a token without an id': withClaims({ credential: { kind: 'token' } }),
  'an ID token without its time': withClaims({ credential: { kind: 'id-token', trust: 1, terms: 1 } }),
  'an ID token without its terms': withClaims({ credential: { kind: 'id-token', trust: 1, since: 1 } }),
  'more characters than a header may have': withClaims({ padding: 'x'.repeat(16_384) }),
};

test('a forged token is refused without a detail', async (t) => {
  const { database, keys, tokens, verify } = await setUp(t);
  const own = await ownKeys(database, keys);
  const { token } = await tokens.issue(alice, [{ name: app, actions: ['pull'], repository: 3 }], false);
  const decode = (part: string | undefined) =>
    JSON.parse(Buffer.from(part as string, 'base64url').toString());
  const [header, claims] = token.split('.');
  const good = { header: decode(header), claims: decode(claims) };
  await verify(sign(good.header, good.claims, own.own));

  for (const [what, forge] of Object.entries(forgeries)) {
    await t.test(what, async () => {
      const forged = await forge(structuredClone(good), own);
      await assert.rejects(verify(forged), refused);
      await assert.rejects(tokens.verifyRefresh(forged), refused);
    });
  }
});

test('any change to a token makes it invalid or leaves its claims the same', async (t) => {
  const { tokens, verify } = await setUp(t);
  const { token } = await tokens.issue(alice, [{ name: app, actions: ['pull'], repository: 3 }], false);
  const expected = await verify(token);
  const change = fc.record({
    at: fc.nat(token.length - 1),
    cut: fc.nat(3),
    put: anyText({ maxLength: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(change, async ({ at, cut, put }) => {
      const changed = token.slice(0, at) + put + token.slice(at + cut);
      const outcome = await verify(changed).catch((error) => error.code);
      // The last character of a base64 text has unused bits.
      if (outcome !== 'UNAUTHORIZED') assert.deepEqual(outcome, expected);
    }),
    { numRuns: 500 },
  );
});

test('arbitrary text is refused as a token', async (t) => {
  const { verify } = await setUp(t);
  const part = fc.oneof(fc.base64String(), fc.string(), fc.json().map(encode));
  const token = fc.oneof(
    fc.string(),
    fc.array(part, { maxLength: 5 }).map((parts) => parts.join('.')),
  );
  await fc.assert(fc.asyncProperty(token, async (text) => assert.rejects(verify(text), refused)));
});

test('the cause for the log names the problem', async (t) => {
  const { tokens, verify } = await setUp(t);
  const { token } = await tokens.issue(alice, [], false);
  const causeOf = async (text: string) =>
    verify(text).then(
      () => assert.fail('it was taken'),
      (error: RegistryError) => (error.cause as { code?: string } | undefined)?.code,
    );
  assert.equal(await causeOf(`${token}AAAA`), 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED');
  assert.equal(await causeOf(await tokens.issueRefresh(alice)), 'ERR_JWT_CLAIM_VALIDATION_FAILED');
  assert.equal(await causeOf(sign({ alg: 'ES256', kid: 'x' }, {}, stranger.privateKey)), undefined);
});

test('a token may be as long as a header, and no longer', async (t) => {
  const { database, keys, tokens, verify } = await setUp(t);
  const { own } = await ownKeys(database, keys);
  const { token } = await tokens.issue(alice, [], false);
  const padded = (length: number) =>
    tokenOfLength(length, (more, padding) =>
      sign({ ...decodeProtectedHeader(token), more }, { ...decodeJwt(token), padding }, own),
    );
  assert.deepEqual((await verify(await padded(16_384))).identity, alice);
  await assert.rejects(verify(await padded(16_385)), refused);
});

/** A database that counts reads. */
function counting(database: Database): { counted: Database; reads: () => number } {
  let count = 0;
  const counted: Database = {
    ...database,
    get read() {
      count++;
      return database.read;
    },
  };
  return { counted, reads: () => count };
}

test('a token without a key id causes no query', async (t) => {
  const { database, clock } = await setUp(t);
  const { counted, reads } = counting(database);
  const keys = new SigningKeys({ database: counted, clock });
  const tokens = new BearerTokens({ keys, clock, lifetime: 1, refreshLifetime: 1, passwordLogin: true });
  for (const text of ['', 'x', 'a.b.c', sign({ kid: 1 }, {}, stranger.privateKey), 'x'.repeat(20_000)]) {
    await assert.rejects(async () => tokens.verify(text), refused);
  }
  assert.equal(reads(), 0);
});

test('unknown keys cause one query in two seconds', async (t) => {
  const { database, keys, verify, clock } = await setUp(t);
  await keys.signer();
  const made = await makeSigningKey();
  const { counted, reads } = counting(database);
  const others = new SigningKeys({ database: counted, clock });
  await others.refresh();
  for (let i = 0; i < 100; i++) assert.equal(await others.find(`${made.id}${i}`), undefined);
  assert.equal(reads(), 2);
  await assert.rejects(verify(sign({ alg: 'ES256', kid: made.id }, {}, stranger.privateKey)), refused);
});
