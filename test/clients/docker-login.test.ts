import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from '../support/command.ts';
import { startDocker } from '../support/docker.ts';
import { headManifest } from '../support/head-manifest.ts';
import { makeBallast, writeBuildContext, writeImageLayout } from '../support/images.ts';
import { needs } from '../support/needs.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { assertFewRefusals, passwords, startTeam } from './team.ts';

test('docker, logged in', async (t) => {
  if (!needs(t, 'docker', 'dockerd')) return;
  const { host, berth, registry, countRequests } = await startTeam(t);
  const { docker, clientConfig } = await startDocker(t);
  const folder = await temporaryDirectory(t);
  const login = (name: string, secret: string) =>
    docker('login', '--username', name, '--password', secret, host);
  const logout = () => docker('logout', host);
  const build = async (image: string, message: string) => {
    await writeBuildContext(join(folder, 'context'), message, { ballast: makeBallast() });
    await docker('build', '--quiet', '--tag', image, join(folder, 'context'));
  };
  const removeAll = () => docker('image', 'prune', '--all', '--force');
  const runContainer = (image: string) =>
    docker('run', '--rm', '--pull', 'never', '--network', 'none', image);

  await t.test('gets an error for a wrong password at once, whether or not the user exists', async () => {
    for (const name of ['alice', 'nobody']) {
      const requests = await countRequests(() =>
        assert.rejects(
          login(name, 'wrong'),
          /Error response from daemon: .*unauthorized: authentication required\n$/,
        ),
      );
      assertFewRefusals(requests);
    }
  });

  await t.test('logs in with a password and stores a token instead', async () => {
    assert.match(await login('alice', passwords.alice), /^Login Succeeded$/m);
    const { auths } = JSON.parse(await readFile(clientConfig, 'utf8'));
    const { auth, identitytoken } = auths[host];
    assert.equal(Buffer.from(auth, 'base64').toString(), 'alice:');
    assert.equal(identitytoken.split('.').length, 3, 'a signed token');
  });

  await t.test(
    'pushes to its own namespace and its organisation, and pulls from private repositories',
    async () => {
      for (const name of ['alice/hello', 'acme/app']) {
        const image = `${host}/${name}:1`;
        await build(image, `hello from ${name}`);
        await docker('push', image);
        await removeAll();
        await docker('pull', image);
        assert.equal(await runContainer(image), `hello from ${name}\n`);
      }
    },
  );

  await t.test('mounts layers from one of its repositories into another', async () => {
    const [source, copy] = [`${host}/acme/app:1`, `${host}/alice/copy:1`];
    await docker('tag', source, copy);
    assert.match(await docker('push', copy), /: Mounted from acme\/app\n/);
  });

  await t.test('stops at once when it may not push', async () => {
    for (const name of ['bob/hello', 'nobodys/hello', 'hello']) {
      const image = `${host}/${name}:1`;
      await docker('tag', `${host}/acme/app:1`, image);
      const requests = await countRequests(() =>
        assert.rejects(docker('push', image), /\ndenied: requested access to the resource is denied\n$/),
      );
      assertFewRefusals(requests);
      await docker('image', 'rm', image);
    }
  });

  await t.test('cannot pull private or missing repositories after a logout', async () => {
    await logout();
    await removeAll();
    for (const image of [`${host}/acme/app:1`, `${host}/acme/nothing:1`]) {
      const refused = new RegExp(
        `pull access denied for ${image.replace(/:1$/, '')}, repository does not exist or may require 'docker login'`,
      );
      const requests = await countRequests(() => assert.rejects(docker('pull', image), refused));
      assertFewRefusals(requests);
    }
  });

  await t.test('cannot pull private repositories as a non-member', async () => {
    await login('bob', passwords.bob);
    await assert.rejects(docker('pull', `${host}/acme/app:1`), /pull access denied for/);
    await logout();
  });

  await t.test('pulls from public repositories without a login, but may not push', async () => {
    const image = `${host}/acme/app:1`;
    await berth('repo', 'set', 'acme/app', '--visibility', 'public');
    await docker('pull', image);
    assert.equal(await runContainer(image), 'hello from acme/app\n');
    await assert.rejects(docker('push', image), /denied|unauthorized/);
    await berth('repo', 'set', 'acme/app', '--visibility', 'private');
    await removeAll();
    await assert.rejects(docker('pull', image), /pull access denied for/);
  });

  await t.test('pushes from a pipeline as a robot, within its rights only', async () => {
    const token = await berth('token', 'create', '--robot', 'acme+ci', '--expires', '30d');
    assert.match(token, /^brth_\w{46}$/);
    assert.match(await login('acme+ci', token), /^Login Succeeded$/m);
    await build(`${host}/acme/app:built`, 'built by a pipeline');
    await docker('push', `${host}/acme/app:built`);
    await docker('tag', `${host}/acme/app:built`, `${host}/acme/other:built`);
    await assert.rejects(docker('push', `${host}/acme/other:built`), /denied: requested access/);
    await logout();
  });

  await t.test('is limited to the scopes of an access token', async () => {
    const scope = ['--scope', 'repository:alice/**:pull'];
    const token = await berth('token', 'create', '--user', 'alice', ...scope, '--expires', '1h');
    await login('alice', token);
    await docker('pull', `${host}/alice/hello:1`);
    await assert.rejects(docker('push', `${host}/alice/hello:1`), /denied: requested access/);
    await assert.rejects(docker('pull', `${host}/acme/app:1`), /pull access denied for/);
    await logout();
  });

  await t.test('is rejected at the next push after its user is disabled', async () => {
    await login('alice', passwords.alice);
    await docker('push', `${host}/alice/hello:1`);
    await berth('user', 'set', 'alice', '--disabled');
    const requests = await countRequests(() =>
      assert.rejects(docker('push', `${host}/alice/hello:1`), /unauthorized: authentication required\n$/),
    );
    assertFewRefusals(requests);
    await assert.rejects(login('alice', passwords.alice), /unauthorized: authentication required\n$/);
    await berth('user', 'set', 'alice', '--enabled');
  });

  await t.test('sends no secret that the registry logs', () => {
    for (const secret of [...Object.values(passwords), 'brth_']) {
      assert.ok(!registry.output().includes(secret), 'a secret in the log');
    }
  });
});

test('containerd, with a user name and a password', async (t) => {
  if (!needs(t, 'ctr', 'dockerd')) return;
  const { host, registry } = await startTeam(t);
  const { ctr } = await startDocker(t);
  const folder = await temporaryDirectory(t);
  const { layout, digest } = await writeImageLayout(folder, 'hello from containerd');
  const archive = join(folder, 'layout.tar');
  await run('tar', ['--create', '--file', archive, '--directory', layout, '.']);
  const name = `${host}/alice/hello`;
  const image = `${name}:latest`;
  const user = ['--user', `alice:${passwords.alice}`];
  await ctr('images', 'import', '--all-platforms', '--no-unpack', '--base-name', name, archive);

  await t.test('pushes and pulls', async () => {
    await ctr('images', 'push', '--plain-http', ...user, image);
    const credentials = Buffer.from(`alice:${passwords.alice}`).toString('base64');
    const head = await headManifest(registry.url, 'alice/hello', 'latest', `Basic ${credentials}`);
    assert.equal(head.digest, digest);
    await ctr('images', 'remove', '--sync', image);
    await ctr('images', 'pull', '--plain-http', ...user, image);
  });

  await t.test('is rejected without a password, with a wrong one and as another user', async () => {
    await ctr('images', 'remove', '--sync', image);
    for (const wrong of [[], ['--user', 'alice:wrong'], ['--user', `bob:${passwords.bob}`]]) {
      await assert.rejects(
        ctr('images', 'pull', '--plain-http', ...wrong, image),
        /(?:authorization failed|40[13])/,
      );
    }
  });
});
