// Challenges, and authorization for the metrics.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, connect, unknownDigest, unknownUpload } from '../../test/support/inject.ts';
import { connectPeople, fetchToken, type Person } from '../../test/support/people.ts';
import { Challenge } from '../access/challenge.ts';
import type { HttpRequest } from '../http/request.ts';
import { challengeHeaders } from './challenge.ts';

const challengeOf = ({ headers }: Answer): string | undefined => headers['www-authenticate'];

const scopes: [method: string, path: string, scope: string | undefined][] = [
  ['GET', '/v2/', undefined],
  ['GET', '/v2', undefined],
  ['GET', '/v2/_catalog', 'registry:catalog:*'],
  ['GET', '/v2/acme/app/tags/list', 'repository:acme/app:pull'],
  ['HEAD', '/v2/acme/app/manifests/v1', 'repository:acme/app:pull'],
  ['GET', `/v2/acme/app/blobs/${unknownDigest}`, 'repository:acme/app:pull'],
  ['GET', `/v2/acme/app/referrers/${unknownDigest}`, 'repository:acme/app:pull'],
  ['PUT', '/v2/acme/app/manifests/v1', 'repository:acme/app:pull,push'],
  ['POST', '/v2/acme/app/blobs/uploads/', 'repository:acme/app:pull,push'],
  ['PATCH', `/v2/acme/app/blobs/uploads/${unknownUpload}`, 'repository:acme/app:pull,push'],
  [
    'PUT',
    `/v2/acme/app/blobs/uploads/${unknownUpload}?digest=${unknownDigest}`,
    'repository:acme/app:pull,push',
  ],
  ['GET', `/v2/acme/app/blobs/uploads/${unknownUpload}`, 'repository:acme/app:pull,push'],
  ['DELETE', `/v2/acme/app/blobs/uploads/${unknownUpload}`, 'repository:acme/app:pull,push'],
  ['DELETE', '/v2/acme/app/manifests/v1', 'repository:acme/app:delete'],
  ['DELETE', `/v2/acme/app/blobs/${unknownDigest}`, 'repository:acme/app:delete'],
  [
    'POST',
    `/v2/acme/app/blobs/uploads/?mount=${unknownDigest}&from=acme/base`,
    'repository:acme/app:pull,push repository:acme/base:pull',
  ],
  [
    'POST',
    `/v2/acme/app/blobs/uploads/?mount=${unknownDigest}&from=acme/app`,
    'repository:acme/app:pull,push',
  ],
  ['POST', `/v2/acme/app/blobs/uploads/?mount=${unknownDigest}&from=a"b`, 'repository:acme/app:pull,push'],
  ['POST', '/v2/acme/app/blobs/uploads/?from=acme/base', 'repository:acme/app:pull,push'],
  ['GET', `/v2/acme/app/tags/list?mount=${unknownDigest}&from=acme/base`, 'repository:acme/app:pull'],
];

test('a challenge names the token server, the service and the scope', async (t) => {
  const client = await connect(t, { anonymous: 'none' });
  for (const [method, path, scope] of scopes) {
    const answer = await client.send(method, path, { host: 'registry.example:5000' });
    const expected = `Bearer realm="http://registry.example:5000/auth/token",service="berth"${scope ? `,scope="${scope}"` : ''}`;
    assert.deepEqual(
      [answer.status, challengeOf(answer), answer.headers['cache-control']],
      [401, expected, 'no-store'],
      `${method} ${path}`,
    );
  }
});

test('input quoted in a challenge cannot end the quotes or the line', () => {
  const server = { realmFor: () => 'https://a.example/"x\\y\r\n\u00e9', service: 'a "b"' };
  const headers = challengeHeaders(server, {} as HttpRequest, { action: 'getBase' }, new Challenge());
  const expected = 'Bearer realm="https://a.example/\\"x\\\\y",service="a \\"b\\""';
  assert.equal(headers['WWW-Authenticate'], expected);
});

test('the URL of the token server comes from the configuration, the request or a trusted proxy', async (t) => {
  const host = 'inside:80';
  const forwarded = { host, 'x-forwarded-host': 'registry.example', 'x-forwarded-proto': 'https' };
  const chain = {
    host,
    'x-forwarded-for': '203.0.113.9, 10.0.0.2',
    'x-forwarded-host': 'registry.example, middle:80',
    'x-forwarded-proto': 'https, http',
    forwarded: 'for=203.0.113.9;host=other.example;proto=https, for=10.0.0.2;host=middle',
  };
  const trustedProxies = ['127.0.0.0/8', '10.0.0.0/8'];
  const rows: [config: Record<string, unknown>, headers: Record<string, string>, realm: string][] = [
    [{ trustedProxies }, chain, 'https://registry.example/auth/token'],
    [{ trustedProxies, forwardedHeaders: 'forwarded' }, chain, 'https://other.example/auth/token'],
    [{}, { host }, 'http://inside:80/auth/token'],
    [{}, forwarded, 'http://inside:80/auth/token'],
    [{ trustedProxies: ['127.0.0.0/8'] }, forwarded, 'https://registry.example/auth/token'],
    [{ externalUrl: 'https://hub.example' }, forwarded, 'https://hub.example/auth/token'],
    // Valid hosts by the grammar.
    [{}, { host: 'evil%22,error=%22x' }, '/auth/token'],
    [{}, { host: "evil'x" }, '/auth/token'],
  ];
  for (const [config, headers, realm] of rows) {
    const client = await connect(t, { anonymous: 'none', ...config });
    const answer = await client.get('/v2/', headers);
    assert.equal(challengeOf(answer), `Bearer realm="${realm}",service="berth"`);
  }
});

test('the challenge for an insufficient token has the error and the scope needed', async (t) => {
  const { client, logins } = await connectPeople(t);
  const pull = await fetchToken(client, logins.writer, 'repository:acme/app:pull');
  const small = await client.send('POST', '/v2/acme/app/blobs/uploads/', pull);
  assert.match(
    challengeOf(small) ?? '',
    /,scope="repository:acme\/app:pull,push",error="insufficient_scope"$/,
  );
  const wrong = { authorization: `${pull.authorization}x` };
  const invalid = await client.head('/v2/acme/app/manifests/v1', wrong);
  assert.equal(invalid.status, 401);
  assert.match(challengeOf(invalid) ?? '', /,scope="repository:acme\/app:pull",error="invalid_token"$/);
});

test('with anonymous push there is no challenge', async (t) => {
  const client = await connect(t, { anonymous: 'push' });
  for (const [method, path] of scopes) {
    const answer = await client.send(method, path);
    assert.equal(challengeOf(answer), undefined);
    assert.ok(![401, 403].includes(answer.status), `${method} ${path}: ${answer.status}`);
  }
});

test('on the API listener, metrics need an administrator; health is public and has no details', async (t) => {
  const { client, logins } = await connectPeople(t);
  const statuses: [Person, number][] = [
    ['nobody', 401],
    ['revoked', 401],
    ['boss', 403],
    ['robot', 403],
    ['root', 200],
  ];
  for (const [person, status] of statuses) {
    const answer = await client.fetch('GET', '/metrics', logins[person]);
    assert.equal(answer.status, status, person);
    assert.equal(challengeOf(answer), status === 401 ? 'Basic realm="berth"' : undefined);
    assert.equal(answer.body.includes('berth_'), status === 200);
  }
  for (const [path, body] of [
    ['/healthz', '{"status":"ok"}'],
    ['/readyz', '{"status":"ready"}'],
  ] as const) {
    const answer = await client.fetch('GET', path);
    assert.deepEqual([answer.status, answer.body.toString()], [200, body]);
  }
});

test('with anonymous push the metrics are public', async (t) => {
  const client = await connect(t, { anonymous: 'push' });
  assert.equal((await client.fetch('GET', '/metrics')).status, 200);
});
