import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { jwtVerify } from 'jose';
import { type Answer, makeKey, startIssuer, type TestIssuer } from '../../test/support/issuer.ts';
import { asKeySet, KeySets } from './key-sets.ts';

const minute = 60_000;

/** An issuer and a cache whose clock stands still until the test moves it. */
async function setUp(t: TestContext) {
  const issuer = await startIssuer(t);
  const clock = { now: 0 };
  const keySets = new KeySets(() => clock.now);
  const verify = async (token: string): Promise<unknown> => jwtVerify(token, keySets.of(issuer.url));
  return { issuer, clock, keySets, verify };
}

async function withKid(issuer: TestIssuer, kid: string): Promise<string> {
  return issuer.sign({}, { key: { ...(issuer.keys[0] as (typeof issuer.keys)[0]), kid } });
}

test('keys are fetched once for many tokens at once', async (t) => {
  const { issuer, verify } = await setUp(t);
  const token = await issuer.sign({});
  await Promise.all(Array.from({ length: 50 }, () => verify(token)));
  assert.deepEqual(issuer.asked, ['/.well-known/openid-configuration', '/keys']);
});

test('a thousand tokens with made-up key ids cost one fetch a minute', async (t) => {
  const { issuer, clock, verify } = await setUp(t);
  await verify(await issuer.sign({}));
  clock.now += minute;
  const tokens = await Promise.all(Array.from({ length: 1000 }, (_, i) => withKid(issuer, `random-${i}`)));
  for (const token of tokens.slice(0, 500)) await assert.rejects(verify(token), /no applicable key/);
  await Promise.all(tokens.slice(500).map((token) => assert.rejects(verify(token), /no applicable key/)));
  assert.equal(issuer.askedForKeys, 2);
});

test('a new key is found a minute after the last fetch, and not before', async (t) => {
  const { issuer, clock, verify } = await setUp(t);
  await verify(await issuer.sign({}));
  issuer.keys = [await makeKey('RS256', 'new')];
  const token = await issuer.sign({});
  clock.now += minute - 1;
  await assert.rejects(verify(token), /no applicable key/);
  clock.now += 1;
  await verify(token);
  assert.equal(issuer.askedForKeys, 2);
});

test('a key that the issuer took back is good for ten minutes more', async (t) => {
  const { issuer, clock, verify } = await setUp(t);
  const token = await issuer.sign({});
  await verify(token);
  issuer.keys = [await makeKey('RS256', 'new')];
  clock.now += 10 * minute - 1;
  await verify(token);
  clock.now += 1;
  await assert.rejects(verify(token), /no applicable key/);
});

test('keys serve for a day while the issuer is down, which is asked once a minute', async (t) => {
  const { issuer, clock, verify } = await setUp(t);
  const token = await issuer.sign({});
  await verify(token);
  issuer.answers.set('/.well-known/openid-configuration', (_request, response) =>
    response.writeHead(503).end(),
  );
  clock.now += 10 * minute;
  await Promise.all([verify(token), verify(token)]);
  await verify(token);
  assert.equal(issuer.asked.length, 3);
  clock.now += minute;
  await verify(token);
  assert.equal(issuer.asked.length, 4);
  clock.now = 24 * 60 * minute;
  await assert.rejects(verify(token), /cannot be had: .* answers 503/);
});

test('an issuer that cannot be reached is left alone for a minute', async (t) => {
  const { issuer, clock, verify } = await setUp(t);
  const discovery = '/.well-known/openid-configuration';
  issuer.answers.set(discovery, (request) => request.socket.destroy());
  const token = await issuer.sign({});
  for (let i = 0; i < 10; i++) await assert.rejects(verify(token), { name: 'KeysUnavailable' });
  assert.equal(issuer.asked.length, 1);
  issuer.answers.delete(discovery);
  clock.now += minute;
  await verify(token);
});

/** A path of the issuer, what it does there, and what is said of it. */
const hostile: [what: string, path: string, answer: (issuer: TestIssuer) => Answer, said: RegExp][] = [
  [
    'a body without an end',
    '/keys',
    () => (_request, response) => {
      const chunk = Buffer.alloc(64 * 1024, ' ');
      const more = (): void => {
        while (!response.destroyed && response.write(chunk));
      };
      response.on('drain', more);
      more();
    },
    /sends more than 524288 bytes/,
  ],
  [
    'ten thousand keys',
    '/keys',
    () => (_request, response) => response.end(JSON.stringify({ keys: Array(10_000).fill({ kty: 'RSA' }) })),
    /more than 100 keys/,
  ],
  [
    'a redirect',
    '/keys',
    (issuer) => (_request, response) =>
      response.writeHead(302, { location: `${issuer.url}/elsewhere` }).end(),
    /answers 302/,
  ],
  [
    'another issuer',
    '/.well-known/openid-configuration',
    (issuer) => (_request, response) =>
      response.end(JSON.stringify({ issuer: `${issuer.url}/`, jwks_uri: `${issuer.url}/keys` })),
    /is of another issuer/,
  ],
  [
    'keys over plain http from elsewhere',
    '/.well-known/openid-configuration',
    (issuer) => (_request, response) =>
      response.end(JSON.stringify({ issuer: issuer.url, jwks_uri: 'http://keys.example/keys' })),
    /not https/,
  ],
  [
    'keys in a file',
    '/.well-known/openid-configuration',
    (issuer) => (_request, response) =>
      response.end(JSON.stringify({ issuer: issuer.url, jwks_uri: 'file:///etc/passwd' })),
    /not https/,
  ],
  ['no JSON', '/keys', () => (_request, response) => response.end('<html>'), /is not JSON/],
  ['null', '/keys', () => (_request, response) => response.end('null'), /no JSON Web Key Set/],
  [
    'null for itself',
    '/.well-known/openid-configuration',
    () => (_r, response) => response.end('null'),
    /of/,
  ],
];

for (const [what, path, answer, said] of hostile) {
  test(`an issuer with ${what} has no keys, and nothing else is asked of it`, async (t) => {
    const { issuer, verify } = await setUp(t);
    issuer.answers.set(path, answer(issuer));
    const token = await issuer.sign({});
    await assert.rejects(verify(token), (error: Error) => {
      assert.equal(error.name, 'KeysUnavailable');
      assert.match(error.message, said);
      return true;
    });
    assert.ok(issuer.asked.length <= 2);
    assert.ok(!issuer.asked.includes('/elsewhere'));
  });
}

test('an issuer that dribbles is given five seconds, to the end of the body', async (t) => {
  const { issuer, verify } = await setUp(t);
  issuer.answers.set('/keys', (_request, response) => {
    const timer = setInterval(() => response.write(' '), 100);
    response.on('close', () => clearInterval(timer));
  });
  const token = await issuer.sign({});
  const start = performance.now();
  await assert.rejects(verify(token), /aborted due to timeout/);
  const elapsed = performance.now() - start;
  assert.ok(elapsed > 4_500 && elapsed < 9_000, `${elapsed} ms`);
});

test('an issuer that is neither https nor of this machine is not asked', async () => {
  const keySets = new KeySets();
  for (const issuer of ['http://issuer.example', 'http://127.0.0.1.example', 'ftp://127.0.0.1']) {
    const asked = keySets.of(issuer)({ alg: 'RS256' }, { payload: '', signature: '' });
    await assert.rejects(async () => asked, /neither https nor of this machine/, issuer);
  }
});

test('a key set is an object with a list of at most 100 keys', () => {
  assert.deepEqual(asKeySet({ keys: [] }), { keys: [] });
  for (const document of [null, 7, 'keys', [], {}, { keys: {} }, { keys: [null] }, { keys: ['key'] }]) {
    assert.throws(() => asKeySet(document), /no JSON Web Key Set/, JSON.stringify(document));
  }
});
