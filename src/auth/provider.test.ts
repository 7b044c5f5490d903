// The sign-on pages are tested in sign-on.test.ts.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { logIn, startProvider } from '../../test/support/oidc-provider.ts';
import { Provider } from './provider.ts';

const origin = 'http://registry.localhost';
const redirectUri = `${origin}/auth/callback`;

/** A provider with broken endpoints: `broken` maps the end of a path to the failure. */
async function setUp(t: TestContext) {
  const { issuer, clientId, clientSecret, people } = await startProvider(t, { redirectUri });
  people.set('s-1', { preferred_username: 'alice' });
  const clock = { now: 0 };
  const provider = new Provider(
    {
      issuer,
      clientId,
      clientSecret,
      scopes: ['openid', 'profile'],
      usernameClaim: 'preferred_username',
      groupsClaim: 'groups',
    },
    () => clock.now,
  );
  const broken = new Map<string, () => Promise<Response>>();
  const asked: string[] = [];
  const { fetch } = globalThis;
  t.mock.method(globalThis, 'fetch', (url: string, init: RequestInit) => {
    const { pathname } = new URL(url);
    asked.push(pathname);
    const answer = broken.get(pathname);
    return answer === undefined ? fetch(url, init) : answer();
  });
  const comeBack = async () => {
    const { url, attempt } = await provider.begin(redirectUri);
    return { url: new URL(await logIn(url, 's-1'), origin), attempt };
  };
  return { provider, clock, broken, asked, comeBack };
}

const unreachable = () => Promise.reject(new TypeError('fetch failed'));
const timedOut = () => Promise.reject(new DOMException('too slow', 'TimeoutError'));
const failing = async () => new Response('upstream', { status: 503 });
const refusing = async () => Response.json({ error: 'invalid_grant' }, { status: 400 });

test('a failing provider is ProviderUnavailable, not a refusal', async (t) => {
  const { provider, broken, comeBack } = await setUp(t);
  for (const path of ['/token', '/me']) {
    for (const fault of [unreachable, timedOut, failing]) {
      const { url, attempt } = await comeBack();
      broken.set(path, fault);
      await assert.rejects(provider.finish(url, attempt), { name: 'ProviderUnavailable' }, path);
      broken.clear();
    }
  }
  const { url, attempt } = await comeBack();
  broken.set('/token', refusing);
  await assert.rejects(provider.finish(url, attempt), { name: 'NotSignedOn' });
});

test('keeps the former metadata while the provider is unavailable', async (t) => {
  const { provider, clock, broken, asked, comeBack } = await setUp(t);
  const discovery = '/.well-known/openid-configuration';
  broken.set(discovery, failing);
  await assert.rejects(provider.begin(redirectUri), { name: 'ProviderUnavailable' });
  broken.clear();
  clock.now += 5_000;
  await comeBack();
  broken.set(discovery, unreachable);
  clock.now += 3_600_000;
  asked.length = 0;
  const { url, attempt } = await comeBack();
  assert.equal((await provider.finish(url, attempt)).username, 'alice');
  const readings = () => asked.filter((path) => path === discovery).length;
  assert.equal(readings(), 1);
  clock.now += 5_000;
  await provider.begin(redirectUri);
  assert.equal(readings(), 2);
});
