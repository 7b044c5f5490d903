// A real OpenID Connect provider on this machine, with users and groups set by the test, and a browser for its login.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import Provider from 'oidc-provider';
import { cleanUp } from './cleanup.ts';

export interface TestProvider {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Claims of users, by subject. */
  readonly people: Map<string, Record<string, unknown>>;
  /** An ID token of a job, for `audience`. */
  jobToken(audience: string): Promise<string>;
  /** Number of requests so far. */
  requests(): number;
}

const client = { clientId: 'berth', clientSecret: 'a secret of berth' };

/** @param job additional claims of jobs' tokens */
export async function startProvider(
  t: TestContext,
  { redirectUri, job = {} }: { redirectUri: string; job?: Record<string, unknown> },
): Promise<TestProvider> {
  const people: TestProvider['people'] = new Map();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUp(t, () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: client.clientId,
        client_secret: client.clientSecret,
        redirect_uris: [redirectUri],
        grant_types: ['authorization_code', 'client_credentials'],
      },
    ],
    cookies: { keys: ['a key of this test'] },
    claims: { openid: ['sub'], profile: ['preferred_username', 'groups'], email: ['email'] },
    pkce: { required: () => true },
    findAccount: async (_ctx, id) => ({
      accountId: id,
      claims: async () => ({ sub: id, ...people.get(id) }),
    }),
    extraTokenClaims: async () => job as never,
    ttl: {
      AccessToken: 300,
      ClientCredentials: 300,
      Grant: 300,
      IdToken: 300,
      Interaction: 300,
      Session: 300,
    },
    features: {
      devInteractions: { enabled: true },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: async (_ctx, resource) => ({
          scope: '',
          audience: new URL(resource).host,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 300,
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  });
  let requests = 0;
  server.on('request', () => requests++);
  server.on('request', provider.callback());
  return {
    issuer,
    ...client,
    people,
    requests: () => requests,
    async jobToken(audience) {
      const { clientId, clientSecret } = client;
      const answer = await fetch(`${issuer}/token`, {
        method: 'POST',
        headers: {
          authorization: `Basic ${btoa([clientId, clientSecret].map(encodeURIComponent).join(':'))}`,
        },
        body: new URLSearchParams({ grant_type: 'client_credentials', resource: `https://${audience}` }),
      });
      const { access_token: token } = (await answer.json()) as { access_token?: string };
      assert.ok(token, 'the provider gives no token');
      return token;
    },
  };
}

/** Logs in at the provider as `subject`, page by page; returns the URL of the final redirect. */
export async function logIn(start: string, subject: string): Promise<string> {
  const jar = new Map<string, string>();
  const { origin } = new URL(start);
  let next: { url: string; form?: URLSearchParams } = { url: start };
  for (let page = 0; page < 20; page++) {
    const answer = await fetch(next.url, {
      redirect: 'manual',
      headers: { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') },
      ...(next.form && { method: 'POST', body: next.form }),
    });
    for (const cookie of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      jar.set(name, value);
    }
    const text = await answer.text();
    const location = answer.headers.get('location');
    if (location !== null) {
      const url = new URL(location, next.url);
      if (url.origin !== origin) return url.href;
      next = { url: url.href };
      continue;
    }
    const [, action = ''] = /<form[^>]* action="([^"]+)"/.exec(text) ?? [];
    const [, prompt = ''] = /name="prompt" value="([^"]+)"/.exec(text) ?? [];
    assert.ok(action && prompt, `${answer.status} ${next.url}: ${text.slice(0, 500)}`);
    next = {
      url: new URL(action, next.url).href,
      form: new URLSearchParams({ prompt, login: subject, password: 'any' }),
    };
  }
  throw new Error('the provider redirects the browser in a loop');
}
