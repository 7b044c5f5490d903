// The token server in a whole registry: challenges, tokens and their rights.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { SignJWT } from 'jose';
import { basic } from '../../test/support/people.ts';
import { administratorPassword, type ConfigInput, testRegistry } from '../../test/support/registry.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';

const admin = basic('admin', administratorPassword);
const url = '/v2/acme/app/blobs/uploads/';

async function setUp(t: TestContext, config: ConfigInput) {
  const { app } = await testRegistry(t, config);
  return async (method: 'GET' | 'POST', path: string, headers: object = {}) => {
    const answer = await app.http.inject({ method, url: path, headers: { host: 'r.example', ...headers } });
    return { status: answer.statusCode, headers: answer.headers, body: answer.body };
  };
}

/** The parameters of a Bearer challenge. */
function challengeOf(headers: Readonly<Record<string, unknown>>): Record<string, string> {
  const text = String(headers['www-authenticate']);
  assert.match(text, /^Bearer /);
  return Object.fromEntries([...text.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]));
}

test('a client that follows the challenge is authorized', async (t) => {
  const ask = await setUp(t, { anonymous: 'public' });
  const refused = await ask('POST', url);
  assert.equal(refused.status, 401);
  const { realm, service, scope } = challengeOf(refused.headers);
  assert.equal(realm, 'http://r.example/auth/token');
  const query = new URLSearchParams({ service: `${service}`, scope: `${scope}` });
  const path = `${new URL(realm as string).pathname}?${query}`;

  const without = JSON.parse((await ask('GET', path)).body);
  const denied = await ask('POST', url, { authorization: `Bearer ${without.token}` });
  assert.deepEqual([denied.status, challengeOf(denied.headers).error], [401, 'insufficient_scope']);

  const { token } = JSON.parse((await ask('GET', path, admin)).body);
  assert.equal((await ask('POST', url, { authorization: `Bearer ${token}` })).status, 202);
  assert.equal((await ask('GET', '/v2/', { authorization: `Bearer ${token}` })).status, 200);
  assert.equal((await ask('GET', path, basic('admin', 'wrong'))).status, 401);
});

test('with an external token server Berth accepts its tokens and issues none', async (t) => {
  const directory = await temporaryDirectory(t);
  const certificates = join(directory, 'keys.pem');
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await writeFile(certificates, publicKey.export({ format: 'pem', type: 'spki' }));
  const tokenServer = {
    realm: 'https://auth.example/token',
    service: 'r.example',
    issuer: 'https://auth.example',
    certificates,
  };
  const ask = await setUp(t, { anonymous: 'public', tokenServer });
  assert.equal((await ask('GET', '/auth/token')).status, 404);
  assert.equal((await ask('POST', '/auth/token')).status, 404);

  const refused = await ask('POST', url);
  const { realm, service, scope } = challengeOf(refused.headers);
  assert.deepEqual([realm, service], [tokenServer.realm, tokenServer.service]);
  assert.equal(scope, 'repository:acme/app:pull,push');

  const token = await new SignJWT({
    access: [{ type: 'repository', name: 'acme/app', actions: ['pull', 'push'] }],
  })
    .setProtectedHeader({ alg: 'ES256' })
    .setIssuer(tokenServer.issuer)
    .setAudience(tokenServer.service)
    .setSubject('alice')
    .setExpirationTime('5m')
    .sign(privateKey);
  assert.equal((await ask('POST', url, { authorization: `Bearer ${token}` })).status, 202);
  const elsewhere = '/v2/acme/other/blobs/uploads/';
  const denied = await ask('POST', elsewhere, { authorization: `Bearer ${token}` });
  assert.deepEqual([denied.status, challengeOf(denied.headers).error], [401, 'insufficient_scope']);
});
