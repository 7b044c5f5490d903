import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdir, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { calculateJwkThumbprint, type JWK, SignJWT } from 'jose';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { tokenOfLength } from '../../../test/support/token-length.ts';
import type { RegistryError } from '../../oci/errors.ts';
import { ForeignKeys, type KeyFiles, type KeysObserver } from './foreign-keys.ts';
import { ForeignTokens } from './foreign-tokens.ts';
import { TokenServerKeysError } from './token-server-keys-error.ts';

const now = Date.UTC(2026, 0, 1, 12);
const seconds = now / 1000;
const refused = { name: 'RegistryError', code: 'UNAUTHORIZED', detail: undefined };

interface Pair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' });
const ed25519 = generateKeyPairSync('ed25519');
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });

const pemOf = (key: KeyObject): string => key.export({ format: 'pem', type: 'spki' }).toString();
const jwkOf = (key: KeyObject): JWK => key.export({ format: 'jwk' }) as JWK;

/** The claims of a token server that uses Docker's format. */
const usual = {
  iss: 'https://auth.example',
  sub: 'alice',
  aud: 'registry.example',
  exp: seconds + 300,
  nbf: seconds,
  iat: seconds,
  jti: 'x',
  access: [
    { type: 'repository', name: 'acme/app', actions: ['pull', 'push'] },
    { type: 'repository', class: '', name: 'acme/other', actions: ['pull', 'fly'] },
    { type: 'repository', name: 'acme/nothing', actions: null },
    { type: 'repository', name: '../etc', actions: ['pull'] },
    { type: 'registry', name: 'catalog', actions: ['*'] },
  ],
};

function sign(
  key: KeyObject,
  header: { alg: string; kid?: string; [name: string]: unknown },
  claims: object = {},
) {
  return new SignJWT({ ...usual, ...claims }).setProtectedHeader({ typ: 'JWT', ...header }).sign(key);
}

interface Contents {
  readonly certificates?: string;
  readonly keys?: unknown;
}

async function setUp(t: TestContext, contents: Contents) {
  const directory = await temporaryDirectory(t);
  const time = { now };
  const files: KeyFiles = {
    certificates: contents.certificates === undefined ? undefined : join(directory, 'keys.pem'),
    keys: contents.keys === undefined ? undefined : join(directory, 'keys.json'),
  };
  const put = async (file: string | undefined, text: string) => {
    await writeFile(join(directory, 'new'), text);
    await rename(join(directory, 'new'), file as string);
  };
  if (files.certificates) await put(files.certificates, contents.certificates as string);
  if (files.keys) {
    await put(files.keys, typeof contents.keys === 'string' ? contents.keys : JSON.stringify(contents.keys));
  }
  const told: (number | string)[] = [];
  const observer = {
    reloaded: (count: number) => told.push(count),
    failed: (error: Error) => told.push(error.message.replaceAll(directory, '')),
  };
  const clock = (): number => time.now;
  const keys = await ForeignKeys.open(files, observer, clock);
  const tokens = new ForeignTokens({ keys, clock, issuer: usual.iss, service: 'registry.example' });
  return { tokens, time, told, files, put, verify: async (token: string) => tokens.verify(token) };
}

test('a token of the other server gives the access that it states', async (t) => {
  const certificates = pemOf(rsa.publicKey) + pemOf(p256.publicKey);
  const { tokens, verify } = await setUp(t, { certificates });
  const token = await sign(
    rsa.privateKey,
    { alg: 'RS256' },
    {
      access: [...usual.access, { type: 'repository', name: 'acme/app', actions: ['delete'], id: 7 }],
    },
  );
  const bearer = await verify(token);
  const granted = [...bearer.granted.values()];
  assert.deepEqual(
    { ...bearer, granted },
    {
      identity: { principal: { kind: 'holder', name: 'alice' }, credential: { kind: 'foreign' } },
      granted: [
        { name: 'acme/app', actions: ['pull', 'push', 'delete'], repository: undefined },
        { name: 'acme/other', actions: ['pull'], repository: undefined },
      ],
      catalog: true,
      expires: now + 300_000,
    },
  );
  assert.equal(tokens.verify(token), bearer, 'no wait for a known key');
});

const signatures: [Pair, string[]][] = [
  [rsa, ['RS256', 'RS384', 'RS512']],
  [p256, ['ES256']],
  [p384, ['ES384']],
  [p521, ['ES512']],
  [ed25519, ['EdDSA', 'Ed25519']],
];

for (const [{ publicKey, privateKey }, algorithms] of signatures) {
  test(`${algorithms.join(', ')}: keys in PEM and in a key set verify them`, async (t) => {
    const pem = await setUp(t, { certificates: pemOf(publicKey) });
    const set = await setUp(t, { keys: { keys: [jwkOf(publicKey)] } });
    for (const alg of algorithms) {
      const token = await sign(privateKey, { alg });
      await pem.verify(token);
      await set.verify(token);
    }
  });
}

test("a token may name its key by thumbprint, libtrust fingerprint or the key set's kid, or not at all", async (t) => {
  const thumbprint = await calculateJwkThumbprint(jwkOf(rsa.publicKey));
  const both = { certificates: pemOf(rsa.publicKey) + pemOf(p256.publicKey) };
  const named = { keys: { keys: [{ ...jwkOf(rsa.publicKey), kid: 'key-1' }] } };
  for (const [contents, kid, holds] of [
    [both, thumbprint, true],
    [both, undefined, true],
    [both, 'key-1', false],
    [both, await calculateJwkThumbprint(jwkOf(p256.publicKey)), false],
    [named, 'key-1', true],
    [named, thumbprint, true],
    [{ ...both, ...named }, 'key-1', true],
  ] as const) {
    const { verify } = await setUp(t, contents);
    const token = await sign(rsa.privateKey, { alg: 'RS256', ...(kid !== undefined && { kid }) });
    if (holds) await verify(token);
    else await assert.rejects(verify(token), refused);
  }
});

/** For keys that are not reloaded. */
const untold: KeysObserver = { reloaded: () => assert.fail(), failed: () => assert.fail() };

type Forgery = () => string | Promise<string>;

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

function mac(secret: string | Buffer): string {
  const input = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(usual)}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

const forgeries: Record<string, Forgery> = {
  'an empty text': () => '',
  'parts that are not JSON': () => 'a.b.c',
  'alg none': () => `${encode({ alg: 'none' })}.${encode(usual)}.`,
  'HS256 with the public key in PEM as secret': () => mac(pemOf(p256.publicKey)),
  'HS256 with the public key in DER as secret': () =>
    mac(p256.publicKey.export({ format: 'der', type: 'spki' })),
  'HS256 with the key set as secret': () => mac(JSON.stringify(jwkOf(p256.publicKey))),
  'another key, which is in the header': () =>
    sign(stranger.privateKey, { alg: 'ES256', jwk: jwkOf(stranger.publicKey) }),
  'a known kid, with another key in the header': async () =>
    sign(stranger.privateKey, {
      alg: 'ES256',
      kid: await calculateJwkThumbprint(jwkOf(p256.publicKey)),
      jwk: jwkOf(stranger.publicKey),
    }),
  'another key, with a certificate in the header': () =>
    sign(stranger.privateKey, { alg: 'ES256', x5c: ['MIIB'] }),
  'another key, with a URL of keys': () =>
    sign(stranger.privateKey, { alg: 'ES256', jku: 'https://attacker.example' }),
  'a kid that is a path': () => sign(p256.privateKey, { alg: 'ES256', kid: '../../../dev/null' }),
  'a kid that is a number': () => sign(p256.privateKey, { alg: 'ES256', kid: 1 as never }),
  'a critical extension': () =>
    new SignJWT(usual)
      .setProtectedHeader({ alg: 'ES256', crit: ['x'], x: 1 })
      .sign(p256.privateKey, { crit: { x: true } }),
  'another issuer': () => sign(p256.privateKey, { alg: 'ES256' }, { iss: 'https://attacker.example' }),
  'no issuer': () => sign(p256.privateKey, { alg: 'ES256' }, { iss: undefined }),
  'another audience': () => sign(p256.privateKey, { alg: 'ES256' }, { aud: 'other.example' }),
  'no audience': () => sign(p256.privateKey, { alg: 'ES256' }, { aud: undefined }),
  'no expiry': () => sign(p256.privateKey, { alg: 'ES256' }, { exp: undefined }),
  expired: () => sign(p256.privateKey, { alg: 'ES256' }, { exp: seconds - 30 }),
  'not yet valid': () => sign(p256.privateKey, { alg: 'ES256' }, { nbf: seconds + 31 }),
  'a subject that is a number': () => sign(p256.privateKey, { alg: 'ES256' }, { sub: 7 }),
  'a subject of 256 characters': () => sign(p256.privateKey, { alg: 'ES256' }, { sub: 'a'.repeat(256) }),
  'access that is an object': () => sign(p256.privateKey, { alg: 'ES256' }, { access: {} }),
  'access with a number as entry': () => sign(p256.privateKey, { alg: 'ES256' }, { access: [7] }),
  'more characters than a header may have': () =>
    sign(p256.privateKey, { alg: 'ES256' }, { x: 'x'.repeat(16_384) }),
};

for (const [what, forge] of Object.entries(forgeries)) {
  test(`refused without a detail: ${what}`, async (t) => {
    const { verify } = await setUp(t, { certificates: pemOf(p256.publicKey) });
    await assert.rejects(verify(await forge()), refused);
  });
}

test('the cause for the log names the problem', async (t) => {
  const { verify } = await setUp(t, { certificates: pemOf(p256.publicKey) });
  const causeOf = async (text: string) =>
    verify(text).then(
      () => assert.fail('it was taken'),
      (error: RegistryError) => error.cause as (Error & { code?: string }) | undefined,
    );
  const expired = await sign(p256.privateKey, { alg: 'ES256' }, { exp: seconds - 30 });
  assert.equal((await causeOf(expired))?.code, 'ERR_JWT_EXPIRED');
  const malformed = await sign(p256.privateKey, { alg: 'ES256' }, { sub: 7 });
  assert.match((await causeOf(malformed))?.message ?? '', /claim "sub" or "access"/);
  const long = await sign(p256.privateKey, { alg: 'ES256' }, { x: 'x'.repeat(16_384) });
  for (const text of ['', 'a.b.c', long]) assert.equal(await causeOf(text), undefined, 'no key is tried');
});

test('a token may be as long as a header, and its subject 255 characters', async (t) => {
  const { verify } = await setUp(t, { certificates: pemOf(p256.publicKey) });
  const padded = (length: number) =>
    tokenOfLength(length, (more, padding) => sign(p256.privateKey, { alg: 'ES256', more }, { padding }));
  await verify(await padded(16_384));
  await assert.rejects(verify(await padded(16_385)), refused);
  await verify(await sign(p256.privateKey, { alg: 'ES256' }, { sub: 'a'.repeat(255) }));
});

test('accepts several audiences, an empty subject, and no access', async (t) => {
  const { verify } = await setUp(t, { certificates: pemOf(p256.publicKey) });
  await verify(await sign(p256.privateKey, { alg: 'ES256' }, { aud: ['other.example', 'registry.example'] }));
  for (const access of [undefined, null, []]) {
    const token = await sign(p256.privateKey, { alg: 'ES256' }, { sub: undefined, access });
    const { identity, granted, catalog } = await verify(token);
    assert.deepEqual(identity.principal, { kind: 'holder', name: '' });
    assert.deepEqual([granted.size, catalog], [0, false]);
  }
});

test("a key's alg and use in the set are respected", async (t) => {
  const { verify } = await setUp(t, {
    keys: {
      keys: [
        { ...jwkOf(rsa.publicKey), alg: 'RS512' },
        { ...jwkOf(p256.publicKey), use: 'enc' },
        { ...jwkOf(p384.publicKey), use: 'sig' },
        { kty: 'oct', k: 'c2VjcmV0', alg: 'HS256' },
        { kty: 'OKP', crv: 'X25519', x: 'AAAA' },
        { kty: 'a kind of the future', crv: 'Ed25519' },
        null,
        'a text',
      ],
    },
  });
  await verify(await sign(rsa.privateKey, { alg: 'RS512' }));
  await verify(await sign(p384.privateKey, { alg: 'ES384' }));
  await assert.rejects(verify(await sign(rsa.privateKey, { alg: 'RS256' })), refused);
  await assert.rejects(verify(await sign(p256.privateKey, { alg: 'ES256' })), refused);
  await assert.rejects(verify(mac('secret')), refused);
});

test('a key listed twice has both names and both algorithms', async (t) => {
  const jwk = jwkOf(rsa.publicKey);
  const { verify } = await setUp(t, {
    keys: {
      keys: [{ ...jwk, kid: 'a', alg: 'RS256' }, { ...jwk, kid: 'b', alg: 'RS384' }, jwkOf(p256.publicKey)],
    },
  });
  for (const kid of ['a', 'b']) {
    for (const alg of ['RS256', 'RS384']) await verify(await sign(rsa.privateKey, { alg, kid }));
    await assert.rejects(verify(await sign(rsa.privateKey, { alg: 'RS512', kid })), refused);
  }
});

test('a kid that is not a string is ignored', async (t) => {
  const { verify } = await setUp(t, { keys: { keys: [{ ...jwkOf(p256.publicKey), kid: 1 }] } });
  await verify(await sign(p256.privateKey, { alg: 'ES256' }));
  await assert.rejects(verify(await sign(p256.privateKey, { alg: 'ES256', kid: 1 as never })), refused);
});

test('fifty keys are accepted', async (t) => {
  const [jwk, pem] = [jwkOf(p256.publicKey), pemOf(p256.publicKey)];
  const { verify } = await setUp(t, { keys: { keys: Array(50).fill(jwk) }, certificates: pem.repeat(50) });
  await verify(await sign(p256.privateKey, { alg: 'ES256' }));
});

test("keys are cached for ten seconds of the process's clock by default", async (t) => {
  const { files } = await setUp(t, { certificates: pemOf(p256.publicKey) });
  assert.equal((await ForeignKeys.open(files, untold)).fresh, true);
});

test('keys are reloaded when their file changes, and tokens of a removed key are refused', async (t) => {
  const { verify, time, told, files, put } = await setUp(t, { certificates: pemOf(p256.publicKey) });
  const [old, young] = [
    await sign(p256.privateKey, { alg: 'ES256' }),
    await sign(p384.privateKey, { alg: 'ES384' }),
  ];
  await verify(old);
  await assert.rejects(verify(young), refused);
  time.now += 10_000;
  await verify(old);
  assert.deepEqual(told, [], 'nothing has changed');
  await put(files.certificates, pemOf(p384.publicKey) + pemOf(rsa.publicKey));
  time.now += 9_999;
  await verify(old);
  await assert.rejects(verify(young), refused);
  time.now += 1;
  for (const when of ['as the keys are read', 'when they have been read']) {
    await assert.rejects(verify(old), refused, when);
  }
  await verify(young);
  assert.deepEqual(told, [2]);
});

test('the last keys stay while the file is broken or missing, which is reported once', async (t) => {
  const { verify, time, told, files, put } = await setUp(t, { certificates: pemOf(p256.publicKey) });
  const token = await sign(p256.privateKey, { alg: 'ES256' });
  const later = async () => {
    time.now += 10_000;
    await verify(token);
  };
  await put(files.certificates, 'half a');
  await later();
  await later();
  await rm(files.certificates as string);
  await later();
  await later();
  await mkdir(files.certificates as string);
  await later();
  await rmdir(files.certificates as string);
  await put(files.certificates, pemOf(p256.publicKey));
  await later();
  assert.deepEqual(told, [
    'tokenServer.certificates /keys.pem contains no certificate or public key in PEM',
    'tokenServer.certificates /keys.pem cannot be read: ENOENT',
    'tokenServer.certificates /keys.pem cannot be read: EISDIR',
    1,
  ]);
});

const small = generateKeyPairSync('rsa', { modulusLength: 1024 });
const pss = generateKeyPairSync('rsa-pss', { modulusLength: 2048 });
const odd = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });

const unusable: [what: string, contents: Contents, message: RegExp][] = [
  [
    'no PEM',
    { certificates: 'x' },
    /^tokenServer\.certificates .*keys\.pem contains no certificate or public key/,
  ],
  [
    'a private key',
    { certificates: p256.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString() },
    /contains a private key: keep that on the token server/,
  ],
  [
    'an encrypted private key',
    { certificates: '-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n' },
    /contains a private key/,
  ],
  [
    'a private key in SEC 1 form',
    { certificates: p256.privateKey.export({ format: 'pem', type: 'sec1' }).toString() },
    /contains a private key/,
  ],
  [
    'a broken certificate',
    { certificates: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' },
    /cannot be read: block 1, CERTIFICATE: /,
  ],
  [
    'a short RSA key',
    { certificates: pemOf(small.publicKey) },
    /the RSA key has 1024 bits, but 2048 are needed/,
  ],
  [
    'a key of another kind',
    { certificates: pemOf(p256.publicKey) + pemOf(pss.publicKey) },
    /cannot be used: block 2, PUBLIC KEY: the key is of type rsa-pss/,
  ],
  ['another curve', { certificates: pemOf(odd.publicKey) }, /the curve is secp256k1/],
  ['keys that are not JSON', { keys: '{' }, /^tokenServer\.keys .*keys\.json is not JSON/],
  ['a list instead of a key set', { keys: [] }, /is not a JSON Web Key Set/],
  ['null instead of a key set', { keys: 'null' }, /is not a JSON Web Key Set/],
  ['an empty key set', { keys: { keys: [] } }, /contains no key that verifies/],
  ['only secrets', { keys: { keys: [{ kty: 'oct', k: 'eA' }] } }, /contains no key that verifies/],
  ['a broken key', { keys: { keys: [{ kty: 'EC', crv: 'P-256', kid: 'a' }] } }, /cannot be read: key a: /],
  [
    'a broken key whose kid is not a string',
    { keys: { keys: [jwkOf(p256.publicKey), { kty: 'EC', kid: { toString: 1 } }] } },
    /cannot be read: key 2: /,
  ],
  ['too many keys in PEM', { certificates: pemOf(p256.publicKey).repeat(51) }, /more than 50 keys/],
  ['too many keys', { keys: { keys: Array(51).fill(jwkOf(p256.publicKey)) } }, /more than 50 keys/],
];

for (const [what, contents, message] of unusable) {
  test(`fails to start, naming setting and file: ${what}`, async (t) => {
    await assert.rejects(setUp(t, contents), (error) => {
      assert.ok(error instanceof TokenServerKeysError);
      assert.match(error.message, message);
      assert.equal(error.name, 'TokenServerKeysError');
      assert.ok(error.cause instanceof Error);
      assert.equal(error.cause.name, 'UnusableKeys');
      return true;
    });
  });
}

test('an unreadable file or key is reported with its cause', async (t) => {
  const causeOf = (files: KeyFiles) =>
    ForeignKeys.open(files, untold).then(
      () => assert.fail('it was read'),
      (error: Error) => error.cause as Error & { code?: string },
    );
  const file = join(await temporaryDirectory(t), 'keys');
  assert.equal((await causeOf({ certificates: undefined, keys: file })).code, 'ENOENT');
  await writeFile(file, '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n');
  assert.ok((await causeOf({ certificates: file, keys: undefined })).cause instanceof Error);
});
