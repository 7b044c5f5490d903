// A registry with an external token server: rights come from the token alone.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { assertError, Client } from '../../test/support/inject.ts';
import { testRegistry } from '../../test/support/registry.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';

const realm = 'https://auth.example/token';
const service = 'the "one" \\ registry';

async function connectTrusting(t: TestContext) {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const keys = join(await temporaryDirectory(t), 'keys.json');
  const jwk = { ...(await exportJWK(publicKey)), kid: 'one', alg: 'ES256' };
  await writeFile(keys, JSON.stringify({ keys: [jwk] }));
  const tokenServer = { realm, service, issuer: 'auth', keys };
  const { app } = await testRegistry(t, { anonymous: 'none', tokenServer });
  const client = new Client(app.http);
  const token = async (access: object[]): Promise<Client> => {
    const jwt = await new SignJWT({ access })
      .setProtectedHeader({ alg: 'ES256', kid: 'one' })
      .setIssuer('auth')
      .setAudience(service)
      .setSubject('someone')
      .setIssuedAt()
      .setNotBefore('0s')
      .setExpirationTime('5m')
      .sign(privateKey);
    return client.as({ authorization: `Bearer ${jwt}` });
  };
  return { client, token };
}

test('the challenge names the external token server, and Berth serves no tokens', async (t) => {
  const { client } = await connectTrusting(t);
  const answer = await client.get('/v2/acme/app/tags/list');
  assert.equal(
    answer.headers['www-authenticate'],
    `Bearer realm="${realm}",service="the \\"one\\" \\\\ registry",scope="repository:acme/app:pull"`,
  );
  assert.equal((await client.fetch('GET', '/auth/token')).status, 404);
});

test('a token grants what it lists, without an account or a grant', async (t) => {
  const { token } = await connectTrusting(t);
  const app = { type: 'repository', name: 'acme/app' };
  const pusher = await token([{ ...app, actions: ['pull', 'push'] }]);
  const image = await pusher.pushImage('acme/app', 'v1');
  const layer = await pusher.pushBlob('acme/app', 'a layer');
  const reader = await token([{ ...app, actions: ['pull'] }]);
  assert.equal((await reader.get('/v2/acme/app/manifests/v1')).status, 200);
  assertError(await reader.putManifest('acme/app', 'v1', image.bytes), 401, 'DENIED');
  assertError(await pusher.delete('/v2/acme/app/manifests/v1'), 401, 'DENIED');
  assertError(await reader.get('/v2/acme/other/tags/list'), 401, 'DENIED');
  assertError(await reader.get('/v2/_catalog'), 401, 'DENIED');

  const other = { type: 'repository', name: 'acme/other', actions: ['pull', 'push'] };
  const mount = `/v2/acme/other/blobs/uploads/?mount=${layer}&from=acme/app`;
  assert.equal((await (await token([other])).send('POST', mount)).status, 202);
  const both = await token([other, { ...app, actions: ['pull'] }]);
  assert.equal((await both.send('POST', mount)).status, 201);
  const deleter = await token([{ ...app, actions: ['*'] }]);
  assert.equal((await deleter.delete('/v2/acme/app/manifests/v1')).status, 202);
  const lister = await token([{ type: 'registry', name: 'catalog', actions: ['*'] }]);
  assert.deepEqual((await lister.get('/v2/_catalog')).json(), { repositories: ['acme/app'] });
});
