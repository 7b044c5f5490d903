// Scenarios with secrets that the registry issues, and with the ID tokens of CI jobs.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { berthReading } from '../support/berth.ts';
import { makeKey, TestIssuer } from '../support/issuer.ts';
import { everywhere, type Scenario, type ScenarioContext } from './scenarios.ts';

/** Creates `alice`, who may push to `acme/**`; gives her password, and functions that run commands. */
async function withAlice({ data, canaries }: ScenarioContext) {
  const password = canaries.plant("alice's password");
  const run = async (words: string, { input = '', issues = false } = {}) => {
    const { exitCode, out, err } = await berthReading([input], ...words.split(' '), '--data', data);
    assert.equal(exitCode, 0, `${words}: ${err}`);
    canaries.record(`berth ${words}`, issues ? err : `${out}${err}`);
    return out;
  };
  await run('user create alice --password-stdin', { input: password });
  await run('org create acme --admin alice');
  return {
    password,
    run,
    async showAll(): Promise<void> {
      for (const what of [
        'token list',
        'user list',
        'user show alice',
        'robot list',
        'trust list',
        'key list',
      ]) {
        await run(what);
        await run(`${what} --json`);
      }
    },
  };
}

function basic(context: ScenarioContext, user: string, password: string): string {
  const encoded = Buffer.from(`${user}:${password}`).toString('base64');
  context.canaries.learn(`${user}'s login, base64-encoded`, encoded);
  return `Basic ${encoded}`;
}

const scope = 'repository:acme/app:pull,push';
const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange';

/** Sends the token in every place of a request, valid or not. */
async function sendEverywhere({ client }: ScenarioContext, token: string): Promise<void> {
  for (const path of everywhere) {
    await client.send('GET', path, { authorization: `Bearer ${token}` });
    await client.send('GET', `${path}?access_token=${token}`);
  }
  await client.send('POST', '/v2/acme/app/blobs/uploads/', { authorization: `Bearer ${token}` });
  await client.send('POST', '/v2/other/app/blobs/uploads/', { authorization: `Bearer ${token}` });
  for (const field of ['refresh_token', 'subject_token']) {
    const form = { grant_type: field === 'refresh_token' ? field : exchange, account: 'acme' };
    await client.sendForSecrets('POST', '/auth/token', {}, new URLSearchParams({ ...form, [field]: token }));
  }
}

export const issuedScenarios: Readonly<Record<string, Scenario>> = {
  async 'tokens of the token server'(context) {
    const { client, canaries } = context;
    const { password, showAll } = await withAlice(context);
    const authorization = basic(context, 'alice', password);
    const first = await client.sendForSecrets('GET', `/auth/token?scope=${scope}&offline_token=true`, {
      authorization,
    });
    assert.deepEqual(Object.keys(first).sort(), ['access_token', 'refresh_token', 'token']);
    const { token = '', refresh_token = '' } = first;
    await sendEverywhere(context, token);
    await sendEverywhere(context, refresh_token);
    await client.send('GET', `/auth/token?refresh_token=${refresh_token}`, {
      authorization: basic(context, 'alice', refresh_token),
    });
    // The signature alone is a secret too; the token sent does not match it.
    const parts = token.split('.');
    canaries.learn('the signature of a token', parts[2] as string);
    await client.send('GET', '/v2/', { authorization: `Bearer ${parts[0]}.${parts[1]}x.${parts[2]}` });
    await showAll();
  },

  async 'access tokens'(context) {
    const { client, canaries } = context;
    const { run, showAll } = await withAlice(context);
    await run('robot create acme+ci');
    await run('grant set acme/** --robot acme+ci --role write');
    for (const owner of ['--user alice', '--robot acme+ci']) {
      const token = (await run(`token create ${owner} --expires 1d`, { issues: true })).trim();
      assert.match(token, /^brth_/);
      canaries.learn(`the token of ${owner}`, token);
      for (const name of ['alice', 'acme+ci', 'nobody']) {
        const authorization = basic(context, name, token);
        for (const path of everywhere) await client.send('GET', path, { authorization });
        await client.send('POST', '/v2/acme/app/blobs/uploads/', { authorization });
        await client.sendForSecrets('GET', `/auth/token?scope=${scope}`, { authorization });
      }
      await sendEverywhere(context, token);
    }
    await showAll();
    await run('token revoke 1');
    await showAll();
  },

  async 'ID tokens of jobs'(context) {
    const { client, canaries, data } = context;
    const { run, showAll } = await withAlice(context);
    const issuer = new TestIssuer('https://ci.example.com', [await makeKey()]);
    const keys = join(data, 'jwks.json');
    await writeFile(keys, JSON.stringify({ keys: issuer.keys.map(({ jwk }) => jwk) }));
    const trust = `--issuer ${issuer.url} --audience registry.example --claim ref=main --scope ${scope}`;
    await run(`trust create acme ci --i-know-this-issuer-is-mine ${trust} --keys ${keys}`);
    for (const [what, claims, good] of [
      ['an ID token', { ref: 'main' }, true],
      ['an ID token of another branch', { ref: 'other' }, false],
      ['an expired ID token', { ref: 'main', exp: 1 }, false],
    ] as const) {
      const token = await issuer.sign(claims);
      canaries.learn(what, token);
      canaries.learn(`the signature of ${what}`, token.split('.')[2] as string);
      for (const name of ['acme', 'alice', 'nobody']) {
        const authorization = basic(context, name, token);
        await client.send('GET', '/v2/', { authorization });
        await client.send('POST', '/v2/acme/app/blobs/uploads/', { authorization });
        await client.sendForSecrets('GET', `/auth/token?scope=${scope}`, { authorization });
      }
      const form = { grant_type: exchange, account: 'acme', subject_token: token, access_type: 'offline' };
      const issued = await client.sendForSecrets(
        'POST',
        '/auth/token',
        {},
        new URLSearchParams({ ...form, scope }),
      );
      assert.equal('access_token' in issued, good, what);
      await sendEverywhere(context, token);
    }
    await run('trust test acme', { input: await issuer.sign({ ref: 'main' }) });
    await showAll();
  },

  async 'sign-on in a browser'(context) {
    const { client, canaries } = context;
    const { password, showAll } = await withAlice(context);
    const headers = { 'sec-fetch-site': 'same-origin', origin: client.origin };
    const form = new URLSearchParams({ username: 'alice', password });
    const { cookie } = await client.sendForSecrets('POST', '/auth/sign-in', headers, form);
    assert.match(cookie ?? '', /^berth=./);
    await client.send('POST', '/auth/sign-in', {}, form);
    await client.send('POST', '/auth/sign-in', headers, new URLSearchParams({ username: 'bob', password }));
    for (const path of [...everywhere, '/auth/account', '/auth/sign-in']) {
      await client.send('GET', path, { cookie: cookie as string });
      await client.send('GET', `${path}?token=${cookie}`);
    }
    await client.send('POST', '/auth/account/tokens', { ...headers, cookie: cookie as string }, form);
    const back = ['code', 'state', 'error_description'].map((name) => [name, canaries.plant(`the ${name}`)]);
    await client.send('GET', `/auth/callback?${new URLSearchParams(back)}`, {
      cookie: `${cookie}; berth-sign-on=${canaries.plant('the cookie of an attempt')}`,
    });
    await client.send('GET', '/auth/sign-in/provider');
    await client.send('POST', '/auth/sign-out', { ...headers, cookie: cookie as string }, form);
    await showAll();
  },
};
