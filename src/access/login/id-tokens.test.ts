import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { base64url, exportSPKI, type JWTPayload, SignJWT } from 'jose';
import { dialects } from '../../../test/support/databases.ts';
import { makeKey, startIssuer, type TestKey } from '../../../test/support/issuer.ts';
import { startProvider } from '../../../test/support/oidc-provider.ts';
import { insertAccount, setDisabled } from '../../db/accounts.ts';
import type { Database } from '../../db/database.ts';
import { insertTrust, type TrustTerms } from '../../db/trusts.ts';
import { RegistryError } from '../../oci/errors.ts';
import { asNamespace, type Namespace } from '../../oci/name.ts';
import { loadEntitlements } from '../entitlements.ts';
import { IdTokens } from './id-tokens.ts';
import { KeySets } from './key-sets.ts';

const rules = { repository: 'acme/app', ref: 'refs/heads/*' };
const good: JWTPayload = { sub: 'repo:acme/app', repository: 'acme/app', ref: 'refs/heads/main' };

for (const dialect of dialects) {
  const setUp = async (t: TestContext, terms: Partial<TrustTerms> = {}, keys?: readonly TestKey[]) => {
    const issuer = await startIssuer(t, keys);
    const database = await dialect.open(t);
    const clock = { now: 1_800_000_000_000 };
    const organisation = await makeOrganisation(database, 'acme');
    const trust = (name: string, other: Partial<TrustTerms> = {}) =>
      database.transaction((db) =>
        insertTrust(
          db,
          organisation,
          name,
          {
            issuer: issuer.url,
            audience: 'registry.example',
            keys: null,
            ownIssuer: false,
            claims: JSON.stringify(rules),
            scopes: 'repository:acme/app:pull,push',
            lifetime: 3_600_000,
            ...other,
          },
          1,
        ),
      );
    await trust('ci', terms);
    const idTokens = new IdTokens({ database, keySets: new KeySets(), clock: () => clock.now });
    const sign = (claims: JWTPayload, key?: TestKey) =>
      issuer.sign({ ...good, ...claims }, { now: clock.now, ...(key && { key }) });
    return { issuer, database, clock, organisation, trust, idTokens, sign };
  };

  test(`${dialect.name}: a job's identity has the issuer's subject and the trust that accepted it`, async (t) => {
    const { idTokens, clock, sign } = await setUp(t);
    assert.deepEqual(await idTokens.authenticate('acme', await sign({})), {
      principal: { kind: 'job', trust: 1, subject: 'repo:acme/app', name: 'acme/ci: repo:acme/app' },
      credential: { kind: 'id-token', trust: 1, since: clock.now, terms: 1 },
    });
  });

  test(`${dialect.name}: the first trust by name that accepts the token counts`, async (t) => {
    const { idTokens, trust, sign } = await setUp(t);
    await trust('a-refusing-one', { claims: '{"repository":"acme/other"}' });
    await trust('b-first', { claims: '{"repository":"acme/*"}' });
    const { principal } = await idTokens.authenticate('acme', await sign({}));
    assert.equal(principal.kind === 'job' && principal.name, 'acme/b-first: repo:acme/app');
  });

  test(`${dialect.name}: a token sent to another organisation is refused, and nothing is fetched`, async (t) => {
    const { idTokens, issuer, database, organisation, sign } = await setUp(t);
    await makeOrganisation(database, 'other');
    for (const name of ['nobody', 'other', 'Acme', ''])
      await refused(idTokens.authenticate(name, await sign({})));
    await database.transaction((db) => setDisabled(db, organisation, 2));
    await refused(idTokens.authenticate('acme', await sign({})));
    assert.deepEqual(issuer.asked, []);
  });

  test(`${dialect.name}: while the issuer is unreachable a job is told to retry, unless a trust has the keys`, async (t) => {
    const key = await makeKey('ES256');
    const { idTokens, issuer, trust, sign } = await setUp(t);
    issuer.answers.set('/.well-known/openid-configuration', (_request, response) =>
      response.writeHead(503).end(),
    );
    await trust('a-refusing-one', { keys: JSON.stringify({ keys: [(await makeKey('ES256')).jwk] }) });
    const token = await sign({}, key);
    await assert.rejects(idTokens.authenticate('acme', token), (error: RegistryError) => {
      assert.deepEqual([error.name, error.code], ['RegistryError', 'UNAVAILABLE']);
      assert.ok((error.retryAfter as number) > 50 && (error.retryAfter as number) <= 60);
      // Without the issuer's address, which is for administrators only.
      assert.equal(error.detail, "the keys of the ID token's issuer are not available now");
      assert.match((error.cause as Error).message, /ci: cannot fetch the keys of http.*: .* answered 503/);
      return true;
    });
    await trust('known', { keys: JSON.stringify({ keys: [key.jwk] }) });
    const { principal } = await idTokens.authenticate('acme', token);
    assert.equal(principal.kind === 'job' && principal.name, 'acme/known: repo:acme/app');
  });

  test(`${dialect.name}: a trust with keys of its own fetches none`, async (t) => {
    const key = await makeKey('ES256');
    const { idTokens, issuer, sign } = await setUp(t, { keys: JSON.stringify({ keys: [key.jwk] }) });
    await idTokens.authenticate('acme', await sign({}, key));
    await refused(idTokens.authenticate('acme', await sign({})), /no key of the issuer fits the token/);
    assert.deepEqual(issuer.asked, []);
  });

  test(`${dialect.name}: an old trust that is too wide accepts no job, even with a matching token`, async (t) => {
    const { idTokens, database, sign } = await setUp(t);
    const { url } = await startIssuer(t);
    const github = 'https://token.actions.githubusercontent.com';
    const wide = { issuer: github, keys: JSON.stringify({ keys: [] }), claims: '{"ref":"refs/heads/main"}' };
    await database.transaction((db) => db.updateTable('trusts').set(wide).execute());
    const token = await sign({ iss: github });
    await refused(idTokens.authenticate('acme', token), /any tenant of GitHub Actions would be accepted/);
    const { id } = await database.read.selectFrom('trusts').select('id').executeTakeFirstOrThrow();
    const job = {
      principal: { kind: 'job', trust: id, subject: 'x', name: 'x' },
      credential: { kind: 'id-token', trust: id, since: 5, terms: 1 },
    } as const;
    assert.equal(
      await loadEntitlements(database.read, job, { now: 6, passwordLogin: true }),
      undefined,
      'nor does it renew what it let in',
    );
    await database.transaction((db) => db.updateTable('trusts').set({ issuer: url }).execute());
    assert.ok(await loadEntitlements(database.read, job, { now: 6, passwordLogin: true }));
  });

  test(`${dialect.name}: the problems of each trust are named claim by claim, and never the token`, async (t) => {
    const { idTokens, trust, sign } = await setUp(t);
    await trust('tags', {
      claims: '{"ref":"refs/tags/*","environment":"production"}',
      audience: 'elsewhere',
    });
    const token = await sign({});
    const explained = await idTokens.explain('acme', token);
    assert.ok(typeof explained === 'object');
    assert.deepEqual(
      explained.verdicts.map(({ trust, problems }) => [trust.name, problems]),
      [
        ['ci', []],
        [
          'tags',
          [
            'the audience of the token is "registry.example", not "elsewhere"',
            'claim "ref" is "refs/heads/main", which does not match "refs/tags/*"',
            'the token has no claim "environment"',
          ],
        ],
      ],
    );
    assert.equal(await idTokens.explain('acme', 'brth_no-such-token'), 'not an ID token');
    const error = await refused(idTokens.authenticate('acme', `${token}x`));
    assert.ok(
      !JSON.stringify([error.message, error.detail, String(error.cause)]).includes(token.slice(0, 40)),
    );
  });
}

/** The tests below make the same queries as those above, so one kind of database is enough. */
const [dialect] = dialects as [(typeof dialects)[number]];

async function open(t: TestContext, keys?: readonly TestKey[]) {
  const issuer = await startIssuer(t, keys);
  const database = await dialect.open(t);
  const now = 1_800_000_000_000;
  const terms = {
    issuer: issuer.url,
    audience: 'registry.example',
    keys: null,
    ownIssuer: false,
    claims: JSON.stringify(rules),
  };
  const organisation = await makeOrganisation(database, 'acme');
  const trust = (name: string, other: Partial<TrustTerms> = {}) =>
    database.transaction((db) =>
      insertTrust(
        db,
        organisation,
        name,
        { ...terms, scopes: 'repository:acme/app:pull', lifetime: 1, ...other },
        1,
      ),
    );
  await trust('ci');
  const idTokens = new IdTokens({ database, keySets: new KeySets(), clock: () => now });
  return { issuer, now, seconds: now / 1000, idTokens, trust };
}

const algorithms = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];

for (const alg of algorithms) {
  test(`a token signed with ${alg} is accepted`, async (t) => {
    const { idTokens, issuer, now } = await open(t, [await makeKey(alg)]);
    await idTokens.authenticate('acme', await issuer.sign(good, { now }));
  });
}

/** Claims that the issuer signs, given the current time in seconds, and the expected error; undefined: accepted. */
const claims: [what: string, (seconds: number) => Record<string, unknown>, said: RegExp | undefined][] = [
  ['several audiences', () => ({ aud: ['elsewhere', 'registry.example'] }), undefined],
  ['another audience', () => ({ aud: 'elsewhere' }), /audience .* is "elsewhere"/],
  [
    'an audience with the same prefix',
    () => ({ aud: 'registry.example.org' }),
    /audience .* is "registry.example.org"/,
  ],
  ['no audience', () => ({ aud: undefined }), /audience .* is undefined/],
  ['an expiry 29 seconds ago', (now) => ({ exp: now - 29 }), undefined],
  ['an expiry 30 seconds ago', (now) => ({ exp: now - 30 }), /has expired/],
  ['no expiry', () => ({ exp: undefined }), /"exp"/],
  ['an expiry that is not a number', () => ({ exp: 'never' }), /"exp"/],
  ['an nbf in 30 seconds', (now) => ({ nbf: now + 30 }), undefined],
  ['an nbf in 31 seconds', (now) => ({ nbf: now + 31 }), /"nbf"/],
  ['no time of issue', () => ({ iat: undefined }), /"iat"/],
  ['a time of issue in 31 seconds', (now) => ({ iat: now + 31 }), /"iat"/],
  ['a time of issue a day ago', (now) => ({ iat: now - 86_400 }), undefined],
  [
    'a time of issue more than a day ago',
    (now) => ({ iat: now - 86_431, exp: now + 1e6 }),
    /too far in the past/,
  ],
  ['no issuer', () => ({ iss: undefined }), /has no issuer/],
  ['an issuer that is not a string', () => ({ iss: ['https://issuer.example'] }), /has no issuer/],
  ['no subject', () => ({ sub: undefined }), /no subject/],
  ['a subject that is not a string', () => ({ sub: 7 }), /no subject/],
  ['an empty subject', () => ({ sub: '' }), /no subject/],
  ['a very long subject', () => ({ sub: 'x'.repeat(1025) }), /more than 1024/],
  ['another repository', () => ({ repository: 'evil/app' }), /"evil\/app"/],
  ['no repository', () => ({ repository: undefined }), /no claim "repository"/],
  ['a tag', () => ({ ref: 'refs/tags/v1' }), /refs\/tags\/v1/],
];

for (const [what, make, said] of claims) {
  test(`${said ? 'refused' : 'accepted'}: a token with ${what}`, async (t) => {
    const { idTokens, issuer, now, seconds } = await open(t);
    const token = await issuer.sign({ ...good, ...make(seconds) }, { now });
    if (said) await refused(idTokens.authenticate('acme', token), said);
    else await idTokens.authenticate('acme', token);
  });
}

type Forge = (given: { token: string; key: TestKey; issuer: string }) => Promise<string> | string;

const encode = (value: unknown): string => base64url.encode(JSON.stringify(value));
const payloadOf = (token: string): string => token.split('.')[1] as string;

/** Signs the same claims with another header and key. */
async function resign(
  token: string,
  header: { alg: string; [name: string]: unknown },
  key: TestKey,
): Promise<string> {
  const payload = JSON.parse(Buffer.from(payloadOf(token), 'base64url').toString()) as JWTPayload;
  return new SignJWT(payload).setProtectedHeader(header).sign(key.privateKey);
}

/** The expected reason in the log. */
const byAnother = /^ci: the signature does not match the issuer's key$/;
const withoutKey = /^ci: no key of the issuer fits the token$/;
const badAlgorithm = /^ci: "alg" .* not allowed$/;
const noToken = /^not an ID token$/;

const forged: [what: string, Forge, said: RegExp][] = [
  [
    'alg none and no signature',
    ({ token }) => `${encode({ alg: 'none' })}.${payloadOf(token)}.`,
    badAlgorithm,
  ],
  ['an empty signature', ({ token }) => token.replace(/[^.]*$/, ''), byAnother],
  ['the signature of another token', ({ token }) => token.replace(/.{8}$/, 'AAAAAAAA'), byAnother],
  [
    'changed claims',
    ({ token }) => {
      const [header, payload = '', signature] = token.split('.');
      const said = JSON.parse(Buffer.from(payload, 'base64url').toString()) as JWTPayload;
      return [header, encode({ ...said, environment: 'production' }), signature].join('.');
    },
    byAnother,
  ],
  [
    'an HMAC with the public key as secret',
    async ({ token, key }) => {
      const secret = new TextEncoder().encode(await exportSPKI(key.publicKey));
      const payload = JSON.parse(Buffer.from(payloadOf(token), 'base64url').toString()) as JWTPayload;
      return new SignJWT(payload).setProtectedHeader({ alg: 'HS256', kid: key.kid }).sign(secret);
    },
    badAlgorithm,
  ],
  [
    'the signature of another key',
    async ({ token, key }) => resign(token, { alg: 'RS256', kid: key.kid }, await makeKey()),
    byAnother,
  ],
  [
    'the signature of another key, which is in the header',
    async ({ token, key }) => {
      const own = await makeKey();
      return resign(token, { alg: 'RS256', kid: key.kid, jwk: own.jwk }, own);
    },
    byAnother,
  ],
  [
    'the signature of another key, and URLs of that key',
    async ({ token, key, issuer }) => {
      const own = await makeKey();
      const urls = { jku: `${issuer}/evil`, x5u: `${issuer}/evil` };
      return resign(token, { alg: 'RS256', kid: key.kid, ...urls }, own);
    },
    byAnother,
  ],
  [
    'a made-up key id',
    ({ token, key }) => resign(token, { alg: 'RS256', kid: '../../etc/passwd' }, key),
    withoutKey,
  ],
  [
    'an algorithm that does not fit its key',
    ({ token, key }) => token.replace(/^[^.]*/, encode({ alg: 'PS256', kid: key.kid })),
    withoutKey,
  ],
  ['five parts', ({ token }) => `${token}.a.b`, noToken],
  ['no parts', () => 'not-a-token', noToken],
  ['no characters', () => '', noToken],
  ['a megabyte', ({ token }) => token + 'A'.repeat(1 << 20), /^the ID token has more than 16384 characters$/],
  ['claims that are a list', () => `${encode({ alg: 'RS256' })}.${encode([])}.AAAA`, noToken],
];

for (const [what, forge, said] of forged) {
  test(`refused: a token with ${what}`, async (t) => {
    const { idTokens, issuer, now } = await open(t);
    const key = issuer.keys[0] as TestKey;
    const token = await issuer.sign(good, { now });
    await refused(idTokens.authenticate('acme', await forge({ token, key, issuer: issuer.url })), said);
    assert.ok(!issuer.asked.includes('/evil'));
    await idTokens.authenticate('acme', token);
  });
}

test('a token without a kid is refused if several keys fit', async (t) => {
  const { idTokens, issuer, now } = await open(t, [
    await makeKey('RS256', 'one'),
    await makeKey('RS256', 'two'),
  ]);
  const token = await issuer.sign(good, { now });
  await idTokens.authenticate('acme', token);
  await refused(
    idTokens.authenticate('acme', await resign(token, { alg: 'RS256' }, issuer.keys[0] as TestKey)),
    /kid/,
  );
});

test('a token of 16 KiB is parsed, a longer one is not', async (t) => {
  const { idTokens } = await open(t);
  await refused(idTokens.authenticate('acme', 'x'.repeat(16_384)), noToken);
  await refused(idTokens.authenticate('acme', 'x'.repeat(16_385)), /more than 16384 characters/);
});

test('the reason names an issuer without a trust, or the problems of each trust', async (t) => {
  const { idTokens, issuer, now, trust } = await open(t);
  await refused(
    idTokens.authenticate('other', await issuer.sign(good, { now })),
    new RegExp(`^other has no trust for ${issuer.url}$`),
  );
  await trust('pages', { claims: '{"environment":"pages"}' });
  await refused(
    idTokens.authenticate('acme', await issuer.sign({ sub: 'x', repository: 'acme/app' }, { now })),
    /^ci: the token has no claim "ref"; pages: the token has no claim "environment"$/,
  );
  await refused(
    idTokens.authenticate('acme', await issuer.sign({ sub: 'x', environment: 'p' }, { now })),
    /^ci: the token has no claim "repository", the token has no claim "ref"; pages: claim .*$/,
  );
});

test('a name of 200 characters is not cut', async (t) => {
  const { idTokens, issuer, now } = await open(t);
  const sub = 'x'.repeat(200 - 'acme/ci: '.length);
  const { principal } = await idTokens.authenticate('acme', await issuer.sign({ ...good, sub }, { now }));
  assert.equal(principal.kind === 'job' && principal.name, `acme/ci: ${sub}`);
});

test('a long subject is cut in the name, but not in the identity', async (t) => {
  const { idTokens, issuer, now } = await open(t);
  const sub = 'x'.repeat(1024);
  const { principal } = await idTokens.authenticate('acme', await issuer.sign({ ...good, sub }, { now }));
  assert.ok(principal.kind === 'job');
  assert.equal(principal.subject, sub);
  assert.match(principal.name, /^acme\/ci: x+…$/);
  assert.equal(principal.name.length, 200);
});

test('a token of a real provider is accepted only for its audience', async (t) => {
  const job = { repository: 'acme/app', ref: 'refs/heads/main' };
  const provider = await startProvider(t, { redirectUri: 'https://registry.example/auth/callback', job });
  const database = await dialect.open(t);
  const organisation = await makeOrganisation(database, 'acme');
  const terms = {
    issuer: provider.issuer,
    audience: 'registry.example',
    keys: null,
    ownIssuer: false,
    claims: JSON.stringify({ ...rules, sub: provider.clientId }),
    scopes: 'repository:acme/app:pull',
    lifetime: 3_600_000,
  };
  await database.transaction((db) => insertTrust(db, organisation, 'ci', terms, 1));
  const idTokens = new IdTokens({ database, keySets: new KeySets(), clock: database.clock });
  const { principal } = await idTokens.authenticate('acme', await provider.jobToken('registry.example'));
  assert.equal(principal.kind === 'job' && principal.name, 'acme/ci: berth');
  const elsewhere = await provider.jobToken('elsewhere.example');
  await refused(idTokens.authenticate('acme', elsewhere), /audience .* is "elsewhere.example"/);
});

async function makeOrganisation(database: Database, name: string): Promise<number> {
  const account = { name: asNamespace(name) as Namespace, kind: 'organisation' } as const;
  return (await database.transaction((db) => insertAccount(db, account, 1))) as number;
}

/** Clients get the same detail for every reason; only the log tells them apart. */
async function refused(login: Promise<unknown>, cause = /./): Promise<RegistryError> {
  const error = await login.then(
    () => assert.fail('the token was accepted'),
    (error: unknown) => error,
  );
  assert.ok(error instanceof RegistryError, String(error));
  assert.equal(error.code, 'UNAUTHORIZED');
  assert.equal(error.detail, 'the ID token is not accepted');
  assert.match((error.cause as Error).message, cause);
  return error;
}
