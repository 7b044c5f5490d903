import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { jwtVerify, SignJWT } from 'jose';
import { type Answer, makeKey, startIssuer, type TestIssuer } from '../../../test/support/issuer.ts';
import { asKeySet, KeySets } from './key-sets.ts';

const minute = 60_000;

/** An issuer, and a cache whose clock the test moves. */
async function setUp(t: TestContext) {
  const issuer = await startIssuer(t);
  const clock = { now: 7 * minute };
  const keySets = new KeySets(() => clock.now);
  const verify = async (token: string): Promise<unknown> => jwtVerify(token, keySets.of(issuer.url));
  return { issuer, clock, keySets, verify };
}

async function withKid(issuer: TestIssuer, kid: string): Promise<string> {
  return issuer.sign({}, { key: { ...(issuer.keys[0] as (typeof issuer.keys)[0]), kid } });
}

test('concurrent verifications of many tokens share one fetch of the keys', async (t) => {
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

test('a key that the issuer removed is accepted for ten more minutes', async (t) => {
  const { issuer, clock, verify } = await setUp(t);
  const token = await issuer.sign({});
  await verify(token);
  issuer.keys = [await makeKey('RS256', 'new')];
  clock.now += 10 * minute - 1;
  await verify(token);
  clock.now += 1;
  await assert.rejects(verify(token), /no applicable key/);
});

test('while the issuer is down, its keys are used for a day, and a fetch is tried once a minute', async (t) => {
  const { issuer, clock, verify } = await setUp(t);
  const token = await issuer.sign({});
  await verify(token);
  const start = clock.now;
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
  clock.now = start + 24 * 60 * minute - 1;
  await verify(token);
  clock.now += 1;
  await assert.rejects(verify(token), /cannot fetch the keys .* answered 503/);
});

test('an unreachable issuer is not asked again for a minute', async (t) => {
  const { issuer, clock, verify } = await setUp(t);
  const discovery = '/.well-known/openid-configuration';
  issuer.answers.set(discovery, (request) => request.socket.destroy());
  const token = await issuer.sign({});
  for (let i = 0; i < 10; i++) {
    await assert.rejects(verify(token), {
      name: 'KeysUnavailable',
      message: /^cannot fetch the keys of http.*: fetch failed: ./,
    });
  }
  assert.equal(issuer.asked.length, 1);
  issuer.answers.delete(discovery);
  clock.now += minute;
  await verify(token);
});

/** A path of the issuer, its answer there, and the expected error. */
const hostile: [what: string, path: string, answer: (issuer: TestIssuer) => Answer, said: RegExp][] = [
  [
    'an endless body',
    '/keys',
    () => (_request, response) => {
      const chunk = Buffer.alloc(64 * 1024, ' ');
      const more = (): void => {
        while (!response.destroyed && response.write(chunk));
      };
      response.on('drain', more);
      more();
    },
    /has more than 524288 bytes/,
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
    /answered 302/,
  ],
  [
    'another issuer in its discovery document',
    '/.well-known/openid-configuration',
    (issuer) => (_request, response) =>
      response.end(JSON.stringify({ issuer: `${issuer.url}/`, jwks_uri: `${issuer.url}/keys` })),
    /names another issuer/,
  ],
  [
    'a jwks_uri over plain http on another host',
    '/.well-known/openid-configuration',
    (issuer) => (_request, response) =>
      response.end(JSON.stringify({ issuer: issuer.url, jwks_uri: 'http://keys.example/keys' })),
    /without https/,
  ],
  [
    'a jwks_uri of a file',
    '/.well-known/openid-configuration',
    (issuer) => (_request, response) =>
      response.end(JSON.stringify({ issuer: issuer.url, jwks_uri: 'file:///etc/passwd' })),
    /without https/,
  ],
  [
    'no jwks_uri',
    '/.well-known/openid-configuration',
    (issuer) => (_request, response) => response.end(JSON.stringify({ issuer: issuer.url })),
    /has no jwks_uri$/,
  ],
  [
    'a jwks_uri that is not an absolute URL',
    '/.well-known/openid-configuration',
    (issuer) => (_request, response) =>
      response.end(JSON.stringify({ issuer: issuer.url, jwks_uri: '/keys' })),
    /has no jwks_uri$/,
  ],
  [
    'a jwks_uri that is a list',
    '/.well-known/openid-configuration',
    (issuer) => (_request, response) =>
      response.end(JSON.stringify({ issuer: issuer.url, jwks_uri: [`${issuer.url}/keys`] })),
    /has no jwks_uri$/,
  ],
  ['keys that are not JSON', '/keys', () => (_request, response) => response.end('<html>'), /is not JSON/],
  ['null as key set', '/keys', () => (_request, response) => response.end('null'), /not a JSON Web Key Set/],
  [
    'null as discovery document',
    '/.well-known/openid-configuration',
    () => (_r, response) => response.end('null'),
    /names another issuer$/,
  ],
];

for (const [what, path, answer, said] of hostile) {
  test(`rejects the tokens of an issuer with ${what}, and sends the issuer no other request`, async (t) => {
    const { issuer, verify } = await setUp(t);
    issuer.answers.set(path, answer(issuer));
    const token = await issuer.sign({});
    await assert.rejects(verify(token), (error: Error) => {
      assert.equal(error.name, 'KeysUnavailable');
      assert.match(error.message, said);
      assert.ok(error.cause instanceof Error);
      return true;
    });
    assert.ok(issuer.asked.length <= 2);
    assert.ok(!issuer.asked.includes('/elsewhere'));
  });
}

test('the trailing slash of an issuer is not doubled in the URL of the discovery document', async (t) => {
  const { issuer, keySets } = await setUp(t);
  const name = `${issuer.url}/`;
  issuer.answers.set('/.well-known/openid-configuration', (_request, response) =>
    response.end(JSON.stringify({ issuer: name, jwks_uri: `${issuer.url}/keys` })),
  );
  await jwtVerify(await issuer.sign({}), keySets.of(name));
  assert.deepEqual(issuer.asked, ['/.well-known/openid-configuration', '/keys']);
});

test('a token without a kid causes no fetch if several keys fit', async (t) => {
  const { issuer, clock, verify } = await setUp(t);
  issuer.keys = [issuer.keys[0] as (typeof issuer.keys)[0], await makeKey('RS256', 'other')];
  await verify(await issuer.sign({}));
  clock.now += minute;
  const [key] = issuer.keys as [(typeof issuer.keys)[0]];
  const token = await new SignJWT().setProtectedHeader({ alg: 'RS256' }).sign(key.privateKey);
  await assert.rejects(verify(token), /multiple matching keys/);
  assert.equal(issuer.askedForKeys, 1);
});

test('the keys of the 500 issuers used last are cached', async (t) => {
  const { issuer, keySets, verify } = await setUp(t);
  const token = await issuer.sign({});
  const others = async (count: number, name: string) => {
    for (let i = 0; i < count; i++) {
      const unasked = keySets.of(`http://${name}${i}.example`);
      await assert.rejects(async () => unasked({ alg: 'RS256' }, { payload: '', signature: '' }));
    }
  };
  await verify(token);
  for (const name of ['a', 'b']) {
    await others(499, name);
    await verify(token);
    assert.equal(issuer.askedForKeys, 1);
  }
  await others(500, 'c');
  await verify(token);
  assert.equal(issuer.askedForKeys, 2);
});

/** Tests cannot reach issuers on other hosts: these are their answers, by URL. */
function elsewhere(t: TestContext, answers: Readonly<Record<string, unknown>>) {
  const asked: [url: string, accept: string | null][] = [];
  t.mock.method(globalThis, 'fetch', async (url: string, init: RequestInit) => {
    asked.push([url, new Headers(init.headers).get('accept')]);
    return Response.json(answers[url]);
  });
  return asked;
}

test('a remote issuer may have its keys on another host, and is asked for JSON', async (t) => {
  const [name, uri] = ['https://issuer.example', 'https://keys.example/keys'];
  const key = await makeKey();
  const discovery = `${name}/.well-known/openid-configuration`;
  const asked = elsewhere(t, {
    [discovery]: { issuer: name, jwks_uri: uri },
    [uri]: { keys: [key.jwk] },
  });
  const token = await new SignJWT().setProtectedHeader({ alg: 'RS256', kid: key.kid }).sign(key.privateKey);
  await jwtVerify(token, new KeySets().of(name));
  assert.deepEqual(asked, [
    [discovery, 'application/json'],
    [uri, 'application/json'],
  ]);
});

test('a remote issuer cannot cause requests to this machine', async (t) => {
  const name = 'https://issuer.example';
  const discovery = `${name}/.well-known/openid-configuration`;
  for (const uri of ['http://127.0.0.1:5000/keys', 'http://localhost/keys', 'http://[::1]/']) {
    const asked = elsewhere(t, { [discovery]: { issuer: name, jwks_uri: uri } });
    const keys = new KeySets().of(name)({ alg: 'RS256' }, { payload: '', signature: '' });
    await assert.rejects(async () => keys, /has a jwks_uri without https$/);
    assert.equal(asked.length, 1);
  }
});

test('an issuer that is neither https nor local is not asked', async () => {
  const keySets = new KeySets();
  for (const issuer of ['http://issuer.example', 'http://127.0.0.1.example', 'ftp://127.0.0.1']) {
    const asked = keySets.of(issuer)({ alg: 'RS256' }, { payload: '', signature: '' });
    await assert.rejects(async () => asked, /is neither https nor http to this machine/, issuer);
  }
});

test('a key set has a list of at most 100 keys', () => {
  assert.deepEqual(asKeySet({ keys: [] }), { keys: [] });
  assert.equal(asKeySet({ keys: Array(100).fill({}) }).keys.length, 100);
  assert.throws(() => asKeySet({ keys: Array(101).fill({}) }), /has more than 100 keys$/);
  for (const document of [null, 7, 'keys', [], {}, { keys: {} }, { keys: [null] }, { keys: ['key'] }]) {
    assert.throws(() => asKeySet(document), /not a JSON Web Key Set/, JSON.stringify(document));
  }
});
