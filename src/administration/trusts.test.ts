import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { exportJWK } from 'jose';
import { dialects } from '../../test/support/databases.ts';
import { makeKey } from '../../test/support/issuer.ts';
import { loadEntitlements } from '../access/entitlements.ts';
import type { Identity } from '../access/identity.ts';
import { insertAccount } from '../db/accounts.ts';
import { asNamespace, type Namespace } from '../oci/name.ts';
import type { TrustRequest } from './trust-terms.ts';
import { changeTrust, createTrust, removeTrust, trustNamed, trustsOf } from './trusts.ts';

const github = 'https://token.actions.githubusercontent.com';
const unknown = 'https://ci.acme.com';
const request = {
  issuer: 'https://issuer.example',
  audience: 'registry.example',
  claims: { sub: 'builder' },
  scopes: ['repository:acme/app:pull,push'],
};

function jobOf(trust: number, since: number, terms: number): Identity {
  return {
    principal: { kind: 'job', trust, subject: 'builder', name: 'acme/ci: builder' },
    credential: { kind: 'id-token', trust, since, terms },
  };
}

for (const dialect of dialects) {
  const setUp = async (t: TestContext) => {
    const database = await dialect.open(t);
    for (const name of ['acme', 'other']) {
      const account = { name: asNamespace(name) as Namespace, kind: 'organisation' } as const;
      await database.transaction((db) => insertAccount(db, account, 1));
    }
    return database;
  };

  test(`${dialect.name}: a trust has the given terms, and lasts an hour by default`, async (t) => {
    const database = await setUp(t);
    const made = await createTrust(database, 'acme', 'ci', request);
    assert.deepEqual(
      { ...made },
      {
        id: 1,
        organisation: 'acme',
        name: 'ci',
        issuer: 'https://issuer.example',
        audience: 'registry.example',
        keys: null,
        claims: '{"sub":"builder"}',
        ownIssuer: false,
        scopes: 'repository:acme/app:pull,push',
        lifetime: 3_600_000,
        createdAt: made.createdAt,
        updatedAt: made.createdAt,
      },
    );
    assert.deepEqual(await trustsOf(database.read, 'acme'), [made]);
    assert.deepEqual(await trustsOf(database.read, 'other'), []);
    assert.deepEqual(await trustsOf(database.read, undefined), [made]);
  });

  test(`${dialect.name}: a change keeps the other terms, and ends tokens granted under the old ones`, async (t) => {
    const database = await setUp(t);
    const made = await createTrust(database, 'acme', 'ci', request);
    const before = database.clock();
    const changed = await changeTrust(database, 'acme', 'ci', { claims: { sub: 'other' }, lifetime: 60_000 });
    assert.ok(changed.updatedAt >= before && changed.updatedAt > made.updatedAt);
    const { updatedAt } = changed;
    assert.deepEqual({ ...changed }, { ...made, claims: '{"sub":"other"}', lifetime: 60_000, updatedAt });
    await assert.rejects(changeTrust(database, 'acme', 'ci', { scopes: ['repository:other/**:pull'] }), {
      name: 'Refused',
      message: /is outside acme/,
    });
  });

  test(`${dialect.name}: a trust changed by a clock that was ahead still accepts jobs`, async (t) => {
    const database = await setUp(t);
    const { id } = await createTrust(database, 'acme', 'ci', request);
    const year = 365 * 86_400_000;
    const ahead = { ...database, clock: () => database.clock() + year };
    for (const changing of [ahead, database]) {
      const before = await trustNamed(database.read, 'acme', 'ci');
      const { updatedAt } = await changeTrust(changing, 'acme', 'ci', { lifetime: 60_000 });
      const now = database.clock();
      const held = (terms: number) =>
        loadEntitlements(database.read, jobOf(id, now, terms), { now, passwordLogin: true });
      assert.ok(await held(updatedAt), 'the present terms give rights');
      assert.equal(await held(before.updatedAt), undefined, 'the terms before the change give none');
    }
  });

  test(`${dialect.name}: a change keeps the confirmation of an own issuer, but not for another issuer`, async (t) => {
    const database = await setUp(t);
    const terms = { ...request, issuer: unknown, claims: { ref: 'main' }, ownIssuer: true };
    assert.equal((await createTrust(database, 'acme', 'ci', terms)).ownIssuer, true);
    const changed = await changeTrust(database, 'acme', 'ci', { claims: { ref: 'next' } });
    assert.equal(changed.ownIssuer, true);
    await assert.rejects(
      changeTrust(database, 'acme', 'ci', { issuer: 'https://ci.other.com' }),
      /anyone may be able to run jobs at https:\/\/ci.other.com/,
    );
  });

  test(`${dialect.name}: a trust's name is unique in its organisation, and is free after its deletion`, async (t) => {
    const database = await setUp(t);
    await createTrust(database, 'acme', 'ci', request);
    await assert.rejects(createTrust(database, 'acme', 'ci', request), /already has a trust ci/);
    await createTrust(database, 'other', 'ci', { ...request, scopes: ['repository:other/*:pull'] });
    await removeTrust(database, 'acme', 'ci');
    await assert.rejects(trustNamed(database.read, 'acme', 'ci'), /acme has no trust ci/);
    await assert.rejects(removeTrust(database, 'acme', 'ci'), /acme has no trust ci/);
    assert.equal((await trustsOf(database.read, undefined)).length, 1);
    await assert.rejects(createTrust(database, 'nobody', 'ci', request), /no organisation nobody/);
    await assert.rejects(
      createTrust(database, 'acme', 'Bad Name', request),
      /is not a valid name of a trust/,
    );
  });
}

const sharedSecret = JSON.stringify({ keys: [{ kty: 'oct', k: 'c2VjcmV0' }] });
const { privateKey } = await makeKey();
const privateSet = JSON.stringify({ keys: [await exportJWK(privateKey)] });
const publicSet = JSON.stringify({ keys: [(await makeKey('ES256')).jwk] });

const terms: [what: string, change: Partial<TrustRequest>, refused: RegExp | undefined][] = [
  ['an issuer with a slash at its end', { issuer: 'https://issuer.example/' }, undefined],
  ['an issuer on this machine', { issuer: 'http://127.0.0.1:8080' }, undefined],
  ['an issuer without TLS', { issuer: 'http://issuer.example' }, /has to use https/],
  ['an issuer with a query', { issuer: 'https://issuer.example?a=b' }, /is not a valid issuer/],
  ['an issuer with credentials', { issuer: 'https://me:secret@issuer.example' }, /is not a valid issuer/],
  ['an issuer that is not a URL', { issuer: 'github' }, /is not a valid issuer/],
  ['no audience', { audience: '' }, /audience/],
  ['no rule', { claims: {} }, /needs a rule/],
  ['rules that match everything', { claims: { sub: '*', ref: '**' } }, /needs a rule/],
  [
    'rules only for claims of every token',
    { claims: { iss: 'https://issuer.example', aud: 'x' } },
    /needs a rule/,
  ],
  ['an empty pattern', { claims: { sub: '' } }, /pattern of claim/],
  [
    'fifty-one rules',
    { claims: Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`c${i}`, 'x'])) },
    /50/,
  ],
  ['no scope', { scopes: [] }, /needs a scope/],
  [
    'a scope of another namespace',
    { scopes: ['repository:acme/app:pull', 'repository:acme2/app:pull'] },
    /is outside acme/,
  ],
  ['a scope of every namespace', { scopes: ['repository:**:pull'] }, /is outside acme/],
  [
    'a scope of namespaces with the same prefix',
    { scopes: ['repository:acme*/app:pull'] },
    /is outside acme/,
  ],
  ['a scope with an unknown action', { scopes: ['repository:acme/app:admin'] }, /is not a valid scope/],
  ['a lifetime of a day', { lifetime: 86_400_000 }, undefined],
  ['a lifetime of more than a day', { lifetime: 86_400_001 }, /from 1m to 24h/],
  ['a lifetime of less than a minute', { lifetime: 59_999 }, /from 1m to 24h/],
  ['public keys', { keys: publicSet }, undefined],
  ['no keys', { keys: '{"keys":[]}' }, /has no keys/],
  ['keys that are not JSON', { keys: '-----BEGIN' }, /cannot use these keys/],
  ['a private key', { keys: privateSet }, /contains a private or shared key/],
  ['a shared secret', { keys: sharedSecret }, /contains a private or shared key/],
  [
    'rules that strangers on GitHub match',
    { issuer: github, claims: { ref: 'refs/heads/main' } },
    /^jobs of any tenant of GitHub Actions would be accepted: add .* --claim repository=acme\/app or --claim repository_owner=acme$/,
  ],
  ['an owner on GitHub', { issuer: github, claims: { repository_owner: 'acme' } }, undefined],
  [
    'GitHub confirmed as own issuer',
    { issuer: github, claims: { ref: 'x' }, ownIssuer: true },
    /any tenant of GitHub/,
  ],
  [
    'many subjects of an unknown issuer',
    { issuer: unknown, claims: { ref: 'x' } },
    /--i-know-this-issuer-is-mine/,
  ],
  [
    'many subjects of an issuer confirmed as own',
    { issuer: unknown, claims: { ref: 'x' }, ownIssuer: true },
    undefined,
  ],
];

for (const [what, change, said] of terms) {
  test(`${said ? 'rejects' : 'accepts'} a trust with ${what}`, async (t) => {
    const [dialect] = dialects as [(typeof dialects)[number]];
    const database = await dialect.open(t);
    const account = { name: asNamespace('acme') as Namespace, kind: 'organisation' } as const;
    await database.transaction((db) => insertAccount(db, account, 1));
    const made = createTrust(database, 'acme', 'ci', { ...request, ...change });
    if (said) await assert.rejects(made, { name: 'Refused', message: said });
    else await made;
  });
}
