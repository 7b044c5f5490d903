// CI jobs log in with the ID tokens that their CI signs, with a real issuer and the clients that pipelines use.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { run } from '../support/command.ts';
import { startDocker } from '../support/docker.ts';
import { writeBuildContext, writeImageLayout } from '../support/images.ts';
import { needs } from '../support/needs.ts';
import { startProvider } from '../support/oidc-provider.ts';
import { containersTools } from '../support/podman.ts';
import { runBerth, startBerth } from '../support/process.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const audience = 'registry.example';

/**
 * A registry without anonymous access, whose organisation `acme` trusts jobs of `acme/app` to push to `acme/app` and
 * `acme/cache-*`, for half an hour each. ID tokens expire after five minutes.
 */
async function setUp(t: TestContext) {
  const clock = new URL('moved-clock.ts', import.meta.url).href;
  const registry = await startBerth(t, {
    args: ['--allow-anonymous', 'none'],
    env: { NODE_OPTIONS: `--import ${clock}`, BERTH_ADMIN_PASSWORD: 'the-first-administrator' },
  });
  const job: Record<string, string> = {};
  const provider = await startProvider(t, { redirectUri: `${registry.url}/auth/callback`, job });
  const berth = (...args: string[]) => runBerth(registry.data, args);
  const createTrust = () =>
    berth(
      ...['trust', 'create', 'acme', 'ci', '--issuer', provider.issuer, '--audience', audience],
      ...['--claim', 'repository=acme/app', '--claim', 'ref=refs/heads/*', '--lifetime', '30m'],
      ...['--scope', 'repository:acme/app:pull,push', '--scope', 'repository:acme/cache-*:pull,push'],
    );
  await berth('org', 'create', 'acme');
  await createTrust();
  return {
    registry,
    host: registry.host,
    berth,
    createTrust,
    /** The ID token of a job, by default of a branch. */
    idToken: ({ repository = 'acme/app', ref = 'refs/heads/main', aud = audience } = {}) => {
      Object.assign(job, { repository, ref });
      return provider.jobToken(aud);
    },
    /** Moves the server's clock on, before it answers the next request. */
    passTwentyMinutes: () => process.kill(registry.pid, 'SIGUSR2'),
  };
}

/** Jobs that the trust does not match. */
const strangers = {
  'of another repository': { repository: 'evil/app' },
  'of a tag': { ref: 'refs/tags/v1' },
  'whose token is for another registry': { aud: 'elsewhere.example' },
};

test('docker, with the ID token of a job', async (t) => {
  if (!needs(t, 'docker', 'dockerd')) return;
  const { registry, host, createTrust, berth, idToken, passTwentyMinutes } = await setUp(t);
  const { docker, dockerReading, clientConfig } = await startDocker(t);
  const login = (token: string, organisation = 'acme') =>
    dockerReading(token, 'login', '--username', organisation, '--password-stdin', host);
  const context = join(await temporaryDirectory(t), 'context');
  await writeBuildContext(context, 'built without a secret', { ballast: Buffer.from('ballast') });
  const built = `${host}/acme/app:1`;
  await docker('build', '--quiet', '--tag', built, context);
  const push = async (name: string) => {
    await docker('tag', built, `${host}/${name}`);
    return docker('push', `${host}/${name}`);
  };
  const unauthorized = /unauthorized: authentication required\n$/;
  const denied = /denied: requested access to the resource is denied\n$/;
  const token = await idToken();

  for (const [which, job] of Object.entries(strangers)) {
    await t.test(`rejects a job ${which}`, async () => {
      await assert.rejects(login(await idToken(job)), unauthorized);
    });
  }

  await t.test('logs in and stores a token of the registry instead of the ID token', async () => {
    await assert.rejects(login(token, 'other'), unauthorized);
    assert.match(await login(token), /^Login Succeeded$/m);
    const config = await readFile(clientConfig, 'utf8');
    assert.equal(JSON.parse(config).auths[host].identitytoken.split('.').length, 3, 'a signed token');
    assert.ok(!config.includes(token));
  });

  await t.test('pushes and pulls only what the trust allows', async () => {
    await push('acme/app:1');
    await push('acme/cache-main:1');
    for (const name of ['acme/other:1', 'evil/app:1', 'app:1']) await assert.rejects(push(name), denied);
    await docker('image', 'prune', '--all', '--force');
    await docker('pull', built);
    const ran = await docker('run', '--rm', '--pull', 'never', '--network', 'none', built);
    assert.equal(ran, 'built without a secret\n');
  });

  await t.test(
    'is rejected at the next push after the trust is deleted, also when it is created again',
    async () => {
      await berth('trust', 'delete', 'acme', 'ci');
      await assert.rejects(push('acme/app:1'), unauthorized);
      await assert.rejects(login(token), unauthorized);
      await createTrust();
      await assert.rejects(push('acme/app:1'), unauthorized);
      await login(token);
      await push('acme/app:1');
    },
  );

  await t.test('can push after the ID token has expired, until the trust’s lifetime has passed', async () => {
    passTwentyMinutes();
    await push('acme/app:1');
    await assert.rejects(login(token), unauthorized);
    passTwentyMinutes();
    await assert.rejects(push('acme/app:1'), unauthorized);
  });

  await t.test('sends no token that the registry logs', () => {
    for (const part of token.split('.')) assert.ok(!registry.output().includes(part));
  });
});

test('skopeo and buildah, with the ID token of a job', async (t) => {
  if (!needs(t, 'skopeo', 'buildah')) return;
  const { host, berth, idToken } = await setUp(t);
  const { skopeo, skopeoReading, buildah } = await containersTools(t, host);
  const { layout } = await writeImageLayout(await temporaryDirectory(t), 'built without a secret');
  const login = (token: string) =>
    skopeoReading(token, 'login', '--username', 'acme', '--password-stdin', host);
  const copy = (name: string) => skopeo('copy', `oci:${layout}:latest`, `docker://${host}/${name}`);
  const denied = /requested access to the resource is denied/;
  const unauthorized = /unauthorized|authentication required|invalid username\/password/;

  for (const [which, job] of Object.entries(strangers)) {
    await t.test(`reject a job ${which}`, async () => {
      await assert.rejects(login(await idToken(job)), unauthorized);
    });
  }

  await t.test('push and pull only what the trust allows', async () => {
    assert.equal(await login(await idToken()), 'Login Succeeded!\n');
    await copy('acme/app:1');
    await assert.rejects(copy('acme/other:1'), denied);
    const image = (await buildah('pull', '--quiet', `${host}/acme/app:1`)).trim();
    await buildah('push', image, `docker://${host}/acme/cache-main:1`);
    await assert.rejects(buildah('push', image, `docker://${host}/evil/app:1`), denied);
  });

  await t.test('are rejected after the trust is deleted', async () => {
    await berth('trust', 'delete', 'acme', 'ci');
    await assert.rejects(copy('acme/app:2'), unauthorized);
    await assert.rejects(buildah('pull', '--policy', 'always', `${host}/acme/app:1`), unauthorized);
  });
});

test('curl, exchanging the ID token of a job for a token of the registry', async (t) => {
  if (!needs(t, 'curl')) return;
  const { registry, berth, idToken } = await setUp(t);
  /** The answer's status, and its body. */
  const curl = async (path: string, ...options: string[]) => {
    const args = ['--silent', '--show-error', '--write-out', '\n%{http_code}', ...options];
    const out = await run('curl', [...args, `${registry.url}${path}`]);
    const end = out.lastIndexOf('\n');
    return { status: Number(out.slice(end + 1)), body: out.slice(0, end) };
  };
  const exchange = (subjectToken: string) =>
    curl(
      '/auth/token',
      ...['--data', 'grant_type=urn:ietf:params:oauth:grant-type:token-exchange', '--data', 'account=acme'],
      ...['--data', 'scope=repository:acme/app:pull,push repository:acme/other:pull,push'],
      ...['--data-urlencode', `subject_token=${subjectToken}`],
    );
  const startUpload = async (name: string, token: string) => {
    const bearer = ['--header', `Authorization: Bearer ${token}`];
    const post = ['--request', 'POST', '--data', ''];
    return (await curl(`/v2/${name}/blobs/uploads/`, ...post, ...bearer)).status;
  };
  const exchanged = await exchange(await idToken());
  const answer = JSON.parse(exchanged.body);

  await t.test('gets the scope of its token in the answer', () => {
    assert.equal(exchanged.status, 200);
    assert.equal(answer.token_type, 'Bearer');
    assert.equal(answer.issued_token_type, 'urn:ietf:params:oauth:token-type:access_token');
    assert.equal(answer.scope, 'repository:acme/app:pull,push');
  });

  await t.test('pushes with it only where the trust allows', async () => {
    assert.equal(await startUpload('acme/app', answer.access_token), 202);
    assert.equal(await startUpload('acme/other', answer.access_token), 401);
  });

  await t.test('gets no token for a job that the trust does not match', async () => {
    for (const job of Object.values(strangers)) {
      assert.equal((await exchange(await idToken(job))).status, 401);
    }
  });

  await t.test('may not push with it after the trust is deleted', async () => {
    await berth('trust', 'delete', 'acme', 'ci');
    assert.notEqual(await startUpload('acme/app', answer.access_token), 202);
    assert.equal((await exchange(await idToken())).status, 401);
  });
});
