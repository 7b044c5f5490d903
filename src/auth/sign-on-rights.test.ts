// Rights from single sign-on and trusts, in a whole registry with a real provider.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { origin, TestBrowser } from '../../test/support/browser.ts';
import { startProvider } from '../../test/support/oidc-provider.ts';
import { testRegistry } from '../../test/support/registry.ts';
import { setGrant } from '../administration/grants.ts';
import { createOrganisation } from '../administration/organisations.ts';
import { createTeam } from '../administration/teams.ts';
import { changeTrust, createTrust } from '../administration/trusts.ts';

async function setUp(t: TestContext) {
  const job = { repository: 'acme/app', ref: 'refs/heads/main' };
  const provider = await startProvider(t, { redirectUri: `${origin}/auth/callback`, job });
  const { issuer, clientId, clientSecret } = provider;
  const { app, database } = await testRegistry(t, {
    anonymous: 'none',
    externalUrl: origin,
    signOn: { issuer, clientId, clientSecret },
  });
  await createOrganisation(database, { name: 'acme' });
  /** The status of starting a push with these credentials. */
  const push = async (name: string, username: string, password: string): Promise<number> => {
    const answer = await app.http.inject({
      method: 'POST',
      url: `/v2/${name}/blobs/uploads/`,
      headers: { authorization: `Basic ${btoa(`${username}:${password}`)}` },
    });
    return answer.statusCode;
  };
  return { provider, database, push, browser: new TestBrowser(app.http) };
}

test('leaving a group removes its rights, also from tokens created before', async (t) => {
  const { provider, database, push, browser } = await setUp(t);
  await createTeam(database, 'acme/developers', { group: 'dev' });
  await setGrant(database, {
    pattern: 'acme/**',
    grantee: { kind: 'team', name: 'acme/developers' },
    role: 'write',
  });
  provider.people.set('s-1', { preferred_username: 'alice', groups: ['dev'] });
  await browser.signOn('s-1');
  const form = await browser.formToken();
  const made = await browser.post('/auth/account/tokens', { form, name: 'laptop', days: '30' });
  const [token = ''] = /brth_\w{46}/.exec(made.body) ?? [];
  assert.equal(await push('acme/app', 'alice', token), 202);

  provider.people.set('s-1', { preferred_username: 'alice', groups: ['other'] });
  await browser.signOn('s-1');
  assert.equal(await push('acme/app', 'alice', token), 403);
  assert.equal(await push('alice/app', 'alice', token), 202);
});

test('a job pushes with its ID token within the trust, and no longer after the trust changes', async (t) => {
  const { provider, database, push } = await setUp(t);
  await createTrust(database, 'acme', 'ci', {
    issuer: provider.issuer,
    audience: 'registry.example',
    claims: { repository: 'acme/app', ref: 'refs/heads/*' },
    scopes: ['repository:acme/app:pull,push'],
  });
  const token = await provider.jobToken('registry.example');
  assert.equal(await push('acme/app', 'acme', token), 202);
  assert.equal(await push('acme/other', 'acme', token), 403);
  assert.equal(await push('acme/app', 'other', token), 401);
  assert.equal(await push('acme/app', 'acme', await provider.jobToken('elsewhere.example')), 401);
  await changeTrust(database, 'acme', 'ci', { claims: { repository: 'acme/app', ref: 'refs/tags/*' } });
  assert.equal(await push('acme/app', 'acme', token), 401);
});
