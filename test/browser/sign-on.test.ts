// The pages for browsers, in Chromium.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startChromium } from '../support/chromium.ts';
import { freePort } from '../support/free-port.ts';
import { needs } from '../support/needs.ts';
import { startProvider } from '../support/oidc-provider.ts';
import { runBerth, startBerth } from '../support/process.ts';

const password = 'correct horse battery staple';
/** Names of access tokens: a long word, and HTML that would run if it were not escaped. */
const names = ['x'.repeat(100), '<img src=x onerror=document.title=1><script>document.title=2</script>'];

/** A registry with passwords and single sign-on, and a browser. For the browser, the provider is another site. */
async function setUp(t: TestContext) {
  const address = '127.0.0.2';
  const listen = `${address}:${await freePort(address)}`;
  const url = `http://${listen}`;
  const provider = await startProvider(t, { redirectUri: `${url}/auth/callback` });
  provider.people.set('s-1', { preferred_username: 'carol', email: 'carol@example.com' });
  const registry = await startBerth(t, {
    args: ['--listen', listen, '--allow-anonymous', 'none'],
    env: {
      BERTH_ADMIN_PASSWORD: 'the-first-administrator',
      BERTH_SIGN_ON_ISSUER: provider.issuer,
      BERTH_SIGN_ON_CLIENT_ID: provider.clientId,
      BERTH_SIGN_ON_CLIENT_SECRET: provider.clientSecret,
    },
  });
  await runBerth(registry.data, ['user', 'create', 'alice', '--password-stdin'], password);
  return { url, provider, page: await startChromium(t) };
}

test('users sign in with Chromium', async (t) => {
  if (!needs(t, 'chromium')) return;
  const { url, provider, page } = await setUp(t);
  const text = () => page.evaluate<string>('document.body.innerText');
  const path = () => page.evaluate<string>('location.pathname');
  const count = (selector: string) =>
    page.evaluate<number>(`document.querySelectorAll('${selector}').length`);
  const statusWith = async (token: string) =>
    (await fetch(`${url}/v2/`, { headers: { authorization: `Basic ${btoa(`alice:${token}`)}` } })).status;
  const resize = (width: number) =>
    page.send('Emulation.setDeviceMetricsOverride', {
      width,
      height: 800,
      deviceScaleFactor: 1,
      mobile: width < 500,
    });
  const prefer = (value: 'light' | 'dark') =>
    page.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value }] });
  const signIn = async (secret: string) => {
    await page.fill('#username', 'alice');
    await page.fill('#password', secret);
    await page.press('form button');
  };

  await t.test('with a password, and get an error when it is wrong', async () => {
    await page.open(`${url}/auth/account`);
    assert.equal(await path(), '/auth/sign-in');
    await signIn('wrong');
    assert.match(await text(), /The user name or the password is wrong\./);
    await signIn(password);
    assert.equal(await path(), '/auth/account');
    assert.match(await text(), /^alice$/m);
    assert.equal(await page.evaluate('document.cookie'), '', 'scripts cannot read the session cookie');
  });

  await t.test('create access tokens, whose names are escaped, and revoke them', async () => {
    const tokens: string[] = [];
    for (const name of names) {
      await page.fill('#name', name);
      await page.press('form:has(#name) button');
      const [token = ''] = /^brth_\w{46}$/m.exec(await text()) ?? [];
      assert.equal(await statusWith(token), 200);
      tokens.unshift(token);
    }
    assert.equal(await page.evaluate('document.title'), 'alice – Berth');
    assert.equal(await count('tbody tr'), 2);
    await page.press('tbody button');
    assert.equal(await path(), '/auth/account');
    assert.equal(await count('tbody tr'), 1);
    assert.deepEqual(await Promise.all(tokens.map(statusWith)), [401, 200]);
  });

  await t.test('reach every button, on a desktop and on a phone', async () => {
    for (const width of [1100, 390]) {
      await resize(width);
      const beyond = await page.evaluate(
        `[...document.querySelectorAll('button')].filter((button) => button.getBoundingClientRect().right > innerWidth).length`,
      );
      assert.equal(beyond, 0, `${width} pixels`);
      assert.equal(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), true);
    }
    await resize(1100);
  });

  await t.test('see light or dark pages, as they prefer', async () => {
    const colours = [];
    for (const scheme of ['light', 'dark'] as const) {
      await prefer(scheme);
      colours.push(await page.evaluate('getComputedStyle(document.body).backgroundColor'));
    }
    assert.deepEqual(colours, ['rgb(249, 249, 251)', 'rgb(17, 17, 19)']);
  });

  await t.test('sign out', async () => {
    await page.press('header button');
    assert.match(await text(), /You are signed out/);
    await page.open(`${url}/auth/account`);
    assert.equal(await path(), '/auth/sign-in');
  });

  await t.test('by single sign-on, the second time without a prompt', async () => {
    await page.press('section:has(+ section) a');
    assert.ok((await page.evaluate<string>('location.href')).startsWith(provider.issuer));
    await page.fill('[name=login]', 's-1');
    await page.fill('[name=password]', 'any');
    await page.press('[type=submit]');
    await page.press('[type=submit]'); // consent to share the identity with Berth
    assert.equal(await path(), '/auth/account');
    assert.match(await text(), /^carol@example\.com$/m);

    await page.press('header button');
    await page.press('main a');
    await page.press('main a');
    assert.equal(await path(), '/auth/account');
    assert.match(await text(), /^carol$/m);
  });

  await t.test('and pages of other sites cannot act in their name', async () => {
    await page.open(`${provider.issuer}/.well-known/openid-configuration`);
    for (const [action, fields] of [
      ['/auth/account/tokens', 'name=stolen&days=30'],
      ['/auth/sign-in', `username=alice&password=${password}`],
      ['/auth/sign-out', ''],
    ] as const) {
      await page.evaluate(`{
        const form = document.body.appendChild(document.createElement('form'));
        Object.assign(form, { id: 'evil', method: 'post', action: ${JSON.stringify(url + action)} });
        for (const [name, value] of new URLSearchParams(${JSON.stringify(fields)})) {
          form.append(Object.assign(document.createElement('input'), { name, value }));
        }
        form.append(document.createElement('button'));
      }`);
      await page.press('#evil button');
      assert.match(await text(), /^Request rejected$/m, action);
      await page.open(`${provider.issuer}/.well-known/openid-configuration`);
    }
    await page.open(`${url}/auth/account`);
    assert.match(await text(), /^carol$[\s\S]*You have no access tokens\./m);
  });

  await t.test('can link single sign-on, and get an error for the identity of another user', async () => {
    await page.press('header button');
    await page.open(`${url}/auth/sign-in`);
    await signIn(password);
    await page.press('[action="/auth/account/link"] button');
    // The next page redirects to the provider, where carol is signed in, and back.
    let said = '';
    while (!/sign-on identity belongs to another user/.test(said)) {
      said = await text().catch(() => '');
      await delay(50);
    }
    assert.match(said, /^Not linked$/m);
  });

  await t.test('and the browser reports no errors', () => {
    const expected = /the server responded with a status of 40[13]/;
    const elsewhere = [provider.issuer, 'https://fonts.googleapis.com'];
    const complaints = page.complaints.filter(
      (text) => !expected.test(text) && !elsewhere.some((site) => text.startsWith(site)),
    );
    assert.deepEqual(complaints, []);
  });
});
