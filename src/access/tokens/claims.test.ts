import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JWTPayload } from 'jose';
import { parseName } from '../../oci/name.ts';
import { anonymousIdentity, type Identity } from '../identity.ts';
import { accessClaims, identityClaims, readAccess, readIdentity } from './claims.ts';

const app = parseName('acme/app');

/** The claims of a token after encoding and decoding. */
function written(claims: JWTPayload): JWTPayload {
  return JSON.parse(JSON.stringify(claims));
}

const principals = {
  user: { kind: 'user', id: 7, name: 'alice' },
  robot: { kind: 'robot', id: 1, name: 'acme+ci' },
  job: { kind: 'job', trust: 2, subject: 'repo:acme/app', name: 'acme' },
} as const;
const credentials = {
  password: { kind: 'password', since: 0 },
  token: { kind: 'token', id: 4 },
  'id-token': { kind: 'id-token', trust: 2, since: 6, terms: 5 },
} as const;

test('an identity is read back from its claims, which have a subject for other readers', () => {
  const identities: Identity[] = [
    anonymousIdentity,
    { principal: principals.user, credential: credentials.password },
    { principal: principals.robot, credential: credentials.token },
    { principal: principals.job, credential: credentials['id-token'] },
  ];
  for (const identity of identities) {
    assert.deepEqual(readIdentity(written(identityClaims(identity))), identity);
  }
  assert.deepEqual(
    identities.map((identity) => identityClaims(identity).sub),
    ['anonymous', 'user:7', 'robot:1', 'job:2:repo:acme/app'],
  );
});

test('extra fields of an identity are ignored', () => {
  for (const principal of [{ kind: 'anonymous' }, ...Object.values(principals)] as const) {
    const more = { ...principals.job, ...principals.user, ...principal, more: 1 };
    const read = readIdentity({ principal: more, credential: { kind: 'none', id: 1 } });
    assert.deepEqual(read, { principal, credential: { kind: 'none' } });
  }
});

const invalidTexts = [undefined, null, 1, {}, ['x']];
const invalidIds = [undefined, null, '1', 0, -1, 1.5, 2 ** 53, [1]];
const invalidTimes = [undefined, null, '1', -1, 0.5, 2 ** 53, [1]];

for (const [what, principal] of [
  ...[undefined, null, 'alice', 7, [], [principals.user], {}].map((one) => ['form', one] as const),
  ...[undefined, 'root', 'holder', 'User', 'toString'].flatMap((kind) =>
    Object.values(principals).map((one) => ['kind', { ...one, kind }] as const),
  ),
  ...invalidTexts.flatMap((name) =>
    Object.values(principals).map((one) => ['name', { ...one, name }] as const),
  ),
  ...invalidIds.flatMap((id) => [
    ['user id', { ...principals.user, id }] as const,
    ['robot id', { ...principals.robot, id }] as const,
    ['trust of a job', { ...principals.job, trust: id }] as const,
  ]),
  ...invalidTexts.map((subject) => ['subject of a job', { ...principals.job, subject }] as const),
]) {
  test(`rejects a principal with an invalid ${what}: ${JSON.stringify(principal)}`, () => {
    assert.equal(readIdentity({ principal, credential: credentials.token }), undefined);
  });
}

for (const [what, credential] of [
  ...[undefined, null, 'none', 7, [], [credentials.token], {}].map((one) => ['form', one] as const),
  ...[undefined, 'root', 'foreign', 'None', 'toString'].flatMap((kind) =>
    Object.values(credentials).map((one) => ['kind', { ...one, kind }] as const),
  ),
  ...invalidTimes.flatMap((since) => [
    ['password time', { ...credentials.password, since }] as const,
    ['ID token time', { ...credentials['id-token'], since }] as const,
    ['ID token terms', { ...credentials['id-token'], terms: since }] as const,
  ]),
  ...invalidIds.flatMap((id) => [
    ['token id', { ...credentials.token, id }] as const,
    ['ID token trust', { ...credentials['id-token'], trust: id }] as const,
  ]),
]) {
  test(`rejects a credential with an invalid ${what}: ${JSON.stringify(credential)}`, () => {
    assert.equal(readIdentity({ principal: principals.user, credential }), undefined);
  });
}

test("access is written in Docker's format, with the ids of existing repositories", () => {
  const granted = [
    { name: app, actions: ['pull', 'push'], repository: 3 },
    { name: parseName('acme/new'), actions: ['create'], repository: undefined },
  ] as const;
  const access = [
    { type: 'repository', name: 'acme/app', actions: ['pull', 'push'], id: 3 },
    { type: 'repository', name: 'acme/new', actions: ['create'] },
  ];
  assert.deepEqual(accessClaims(granted, false), { access });
  const catalog = { type: 'registry', name: 'catalog', actions: ['*'] };
  assert.deepEqual(accessClaims(granted, true), { access: [...access, catalog] });
  assert.deepEqual(readAccess(written(accessClaims(granted, true)), { ids: true }), {
    granted: new Map(granted.map((one) => [one.name, one])),
    catalog: true,
  });
});

/** The access of a token with these entries, as text. */
function accessText(access: unknown, ids = true): string[] | undefined {
  const read = readAccess({ access }, { ids });
  if (read === undefined) return undefined;
  const granted = [...read.granted].map(([key, { name, actions, repository }]) => {
    assert.equal(key, name);
    return `${name}:${actions}${repository === undefined ? '' : ` in ${repository}`}`;
  });
  return read.catalog ? [...granted, 'catalog'] : granted;
}

const pull = { type: 'repository', name: 'acme/app', actions: ['pull'] };
const catalog = { type: 'registry', name: 'catalog', actions: ['*'] };

for (const [what, access, expected] of [
  ['no claim', undefined, []],
  ['null, as Go writes an empty list', null, []],
  ['an empty list', [], []],
  ['one repository', [pull], ['acme/app:pull']],
  [
    'an entry without actions',
    [
      { ...pull, actions: undefined },
      { ...pull, actions: null },
    ],
    [],
  ],
  ['an empty list of actions', [{ ...pull, actions: [] }], ['acme/app:']],
  ['unknown actions', [{ ...pull, actions: ['pull', 'fly', 'toString'] }], ['acme/app:pull']],
  ['an invalid name', [{ ...pull, name: '../etc' }], []],
  ['a pattern', [{ ...pull, name: 'acme/*' }], []],
  ['a name that is not a string', [undefined, 5, ['acme/app']].map((name) => ({ ...pull, name })), []],
  [
    'another type',
    [
      { ...pull, type: 'artifact' },
      { ...pull, type: undefined },
    ],
    [],
  ],
  ['a repository twice', [pull, { ...pull, actions: ['push', 'pull'], id: 3 }], ['acme/app:pull,push in 3']],
  ['several repositories', [pull, { ...pull, name: 'b' }], ['acme/app:pull', 'b:pull']],
  ['the catalog', [catalog], ['catalog']],
  [
    'the catalog twice, the second time without actions',
    [catalog, { ...catalog, actions: [] }, pull],
    ['acme/app:pull', 'catalog'],
  ],
  ['the catalog without all actions', [{ ...catalog, actions: ['pull'] }], []],
  ['another name of type registry', [{ ...catalog, name: 'other' }], []],
  ['a repository named catalog', [{ ...catalog, type: 'repository' }], ['catalog:*']],
  ['another type, named catalog', [{ ...catalog, type: 'artifact' }], []],
] as const) {
  test(`reads access from: ${what}`, () => assert.deepEqual(accessText(access), expected));
}

for (const [what, access] of [
  ['a string', 'acme/app'],
  ['an object', { ...pull }],
  ['a number', 0],
  ['a list with null', [null]],
  ['a list with a string', [pull, 'acme/app']],
  ['a list with a list', [[]]],
  ['actions that are a string', [{ ...pull, actions: 'pull' }]],
  ['actions that are an object', [{ ...pull, actions: { 0: 'pull' } }]],
  ['an action that is a number', [{ ...pull, actions: ['pull', 5] }]],
] as const) {
  test(`rejects access from: ${what}`, () => assert.equal(accessText(access), undefined));
}

test("a repository's id is read only from Berth's own tokens, and only if valid", () => {
  assert.deepEqual(accessText([{ ...pull, id: 3 }]), ['acme/app:pull in 3']);
  assert.deepEqual(accessText([{ ...pull, id: 3 }], false), ['acme/app:pull']);
  for (const id of invalidIds) assert.deepEqual(accessText([{ ...pull, id }]), ['acme/app:pull'], String(id));
});
