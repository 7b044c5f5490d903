// No text in a request or a token causes an internal error, on either database.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { origin, TestBrowser } from '../../test/support/browser.ts';
import { dialects } from '../../test/support/databases.ts';
import { ociConfig, ociManifest, unknownDigest } from '../../test/support/inject.ts';
import { administratorPassword, testRegistry } from '../../test/support/registry.ts';
import { createOrganisation } from '../administration/organisations.ts';
import { signOn } from '../administration/sign-on.ts';
import { createTeam } from '../administration/teams.ts';
import type { Database } from '../db/database.ts';

/** Texts that the tests send in place of every text of a request. */
const texts = [
  '\0',
  'a\0b',
  '\ud800',
  'a\udc00b',
  '\u{ffff}',
  '\u{fffd}',
  'e\u0301\u200b',
  '\u001b[2J',
  'x'.repeat(5_000),
];

const segment = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
const jwt = (claims: object) => `${segment({ alg: 'RS256', kid: 'k' })}.${segment(claims)}.c2ln`;

async function setUp(t: TestContext, database: Database) {
  const { app } = await testRegistry(
    t,
    { anonymous: 'public', externalUrl: origin, limits: { loginsPerAddress: 100_000 } },
    async () => ({
      database,
    }),
  );
  const browser = new TestBrowser(app.http);
  const basic = (name: string, password: string) => ({
    authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`,
  });
  const root = basic('admin', administratorPassword);
  return { http: app.http, browser, basic, root };
}

for (const { name, open } of dialects) {
  test(`${name}: no text in a request causes an internal error`, async (t) => {
    const database = await open(t);
    const { http, browser, basic, root } = await setUp(t, database);
    await createOrganisation(database, { name: 'acme' });
    const signedIn = await browser.post('/auth/sign-in', {
      username: 'admin',
      password: administratorPassword,
    });
    assert.equal(signedIn.statusCode, 303, signedIn.body);
    const form = await browser.formToken();
    const answers: [what: string, status: number, body: string][] = [];
    const ask = async (what: string, asked: Promise<{ statusCode: number; body: string }>) => {
      const { statusCode, body } = await asked;
      answers.push([what, statusCode, body]);
    };
    const get = (url: string, headers = root) => ask(url, http.inject({ method: 'GET', url, headers }));
    const token = (fields: Record<string, string>) =>
      ask(
        `token ${JSON.stringify(fields).slice(0, 200)}`,
        http.inject({
          method: 'POST',
          url: '/auth/token',
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          payload: `${new URLSearchParams(fields)}`,
        }),
      );
    for (const text of texts) {
      const encoded = encodeURIComponent(text.toWellFormed());
      await get(`/v2/_catalog?last=${encoded}`);
      await get(`/v2/acme/app/tags/list?last=${encoded}`);
      await get(`/v2/acme/app/referrers/${unknownDigest}?artifactType=${encoded}&last=${encoded}`);
      await get(`/v2/acme/app/manifests/${encoded}`);
      await get(`/v2/acme/${encoded}/tags/list`);
      await get(`/auth/token?service=berth&scope=repository:${encoded}:pull&account=${encoded}`);
      await get('/v2/', basic(text, 'x'));
      await get('/v2/', basic('admin', text));
      await get('/v2/', basic('acme', jwt({ iss: text, sub: 's' })));
      await get('/v2/', basic(text, jwt({ iss: 'https://issuer.example', sub: text })));
      await get(`/auth/sign-in?to=${encoded}`);
      await get(`/auth/callback?code=${encoded}&state=${encoded}`);
      await token({ grant_type: 'password', username: text, password: text, service: text, scope: text });
      await token({ grant_type: 'refresh_token', refresh_token: text });
      await token({ grant_type: text });
      const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
      await token({ grant_type: exchange, account: text, subject_token: jwt({ iss: text, sub: text }) });
      await token({ grant_type: exchange, audience: 'acme', subject_token: jwt({ iss: text, sub: 's' }) });
      await ask('sign in', browser.post('/auth/sign-in', { username: text, password: text, to: text }));
      const fields = { form, name: text, days: '30', scopes: text };
      await ask('token name', browser.post('/auth/account/tokens', { ...fields, scopes: '' }));
      await ask('token scopes', browser.post('/auth/account/tokens', { ...fields, name: 'x' }));
      await ask('token id', browser.post('/auth/account/tokens/revoke', { form, id: text }));
      const upload = `/v2/acme/app/blobs/uploads/?mount=${encoded}&from=${encoded}&digest=${encoded}`;
      await ask('upload', http.inject({ method: 'POST', url: upload, headers: root }));
      for (const document of [
        { artifactType: text },
        { annotations: { [text]: text } },
        { config: { mediaType: text, digest: unknownDigest, size: 2 } },
        { [text]: text },
      ]) {
        const config = { mediaType: ociConfig, digest: unknownDigest, size: 2 };
        const manifest = { schemaVersion: 2, mediaType: ociManifest, config, layers: [], ...document };
        const headers = { ...root, 'content-type': ociManifest };
        const payload = JSON.stringify(manifest);
        const put = { method: 'PUT', url: '/v2/acme/app/manifests/v1', headers, payload } as const;
        await ask(`manifest ${payload.slice(0, 200)}`, http.inject(put));
      }
    }
    const faults = answers.filter(([, status]) => status >= 500);
    assert.deepEqual(faults, []);
  });

  test(`${name}: claims of a provider sign the person in, or are quoted in the refusal`, async (t) => {
    const database = await open(t);
    await createOrganisation(database, { name: 'acme' });
    await createTeam(database, 'acme/developers', { group: 'dev' });
    const person = {
      issuer: 'https://sso.example',
      subject: 's',
      username: 'alice',
      mail: undefined,
      groups: undefined,
    };
    for (const text of texts) {
      for (const claim of ['issuer', 'subject'] as const) {
        const entering = signOn(database, { ...person, [claim]: text }, {});
        const storable = !text.includes('\0') && text.isWellFormed();
        if (!storable) await assert.rejects(entering, { name: 'Refused', message: /cannot be stored/ });
        else await entering.catch(({ name }) => assert.equal(name, 'Refused'));
      }
      for (const claim of ['username', 'mail', 'groups'] as const) {
        const said = { ...person, [claim]: claim === 'groups' ? [text, 'dev'] : text };
        await signOn(database, said, {}).catch(({ name }) => assert.equal(name, 'Refused'));
      }
    }
  });
}
