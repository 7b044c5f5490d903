import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Answer, connect } from '../../test/support/inject.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';

const browser = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8', host: 'registry.example:5000' };

async function open(
  t: TestContext,
  config: object,
  headers: Record<string, string> = browser,
): Promise<Answer> {
  const answer = await (await connect(t, { ...config })).fetch('GET', '/', headers);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.vary, 'Accept');
  assert.equal(answer.headers['cache-control'], 'no-store');
  return answer;
}

test('browsers get a page with the commands to log in and push, and a link to the account', async (t) => {
  const answer = await open(t, { anonymous: 'public' });
  const page = answer.body.toString();
  assert.equal(answer.headers['content-type'], 'text/html; charset=utf-8');
  assert.match(answer.headers['content-security-policy'] ?? '', /^default-src 'none'; style-src 'sha256-/);
  assert.doesNotMatch(page, /<script/);
  assert.match(page, /container registry/);
  assert.match(page, />docker login registry\.example:5000</);
  assert.match(page, />docker tag hello-world registry\.example:5000\/NAME\/hello\ndocker push /);
  assert.match(page, /<a [^>]*href="\/auth\/account"/);
  assert.match(page, /your password or an access token/);
});

test('the commands have the host that clients use, and never an invalid one', async (t) => {
  const external = await open(t, { anonymous: 'public', externalUrl: 'https://hub.example' });
  assert.match(external.body.toString(), />docker login hub\.example</);
  for (const host of ['evil&b', "evil'b", 'evil%22b', '256.256.256.256']) {
    const odd = (await open(t, { anonymous: 'public' }, { ...browser, host })).body.toString();
    assert.match(odd, />docker login REGISTRY</);
    assert.doesNotMatch(odd, /evil|256/);
  }
});

test('with anonymous push the page has no login command', async (t) => {
  const page = (await open(t, { anonymous: 'push' })).body.toString();
  assert.match(page, />docker tag hello-world registry\.example:5000\/hello\n/);
  assert.doesNotMatch(page, /Log in|login|account|NAME/);
});

test('without password login the page says that a token is needed', async (t) => {
  const page = (await open(t, { anonymous: 'none', access: { passwordLogin: false } })).body.toString();
  assert.match(page, /your user name and an access token/);
});

test('with an external token server the page has no account link', async (t) => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const keys = join(await temporaryDirectory(t), 'keys.json');
  await writeFile(
    keys,
    JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'a', alg: 'ES256' }] }),
  );
  const tokenServer = { realm: 'https://auth.example/token', service: 'r', issuer: 'auth', keys };
  const page = (await open(t, { anonymous: 'none', tokenServer })).body.toString();
  assert.match(page, />docker login registry\.example:5000</);
  assert.doesNotMatch(page, /href|account|organisation/);
});

test('other clients get the commands as text, and a HEAD the headers', async (t) => {
  for (const headers of [{ host: 'r.example' }, { host: 'r.example', accept: '*/*' }]) {
    const { headers: sent, body } = await open(t, { anonymous: 'public' }, headers as Record<string, string>);
    assert.equal(sent['content-type'], 'text/plain; charset=utf-8');
    assert.match(
      body.toString(),
      /^This is Berth, [^\n]*\n\ndocker login r\.example\ndocker tag [^\n]*\ndocker push [^\n]*\n$/,
    );
  }
  const head = await (await connect(t)).fetch('HEAD', '/', browser);
  assert.deepEqual([head.status, head.body.length], [200, 0]);
});
