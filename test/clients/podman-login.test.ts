import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeBallast, writeBuildContext } from '../support/images.ts';
import { needs } from '../support/needs.ts';
import { containersTools } from '../support/podman.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { assertFewRefusals, passwords, startTeam } from './team.ts';

test('podman and buildah, logged in', async (t) => {
  if (!needs(t, 'podman', 'buildah')) return;
  const { registry, host, berth, countRequests } = await startTeam(t);
  const alice = await containersTools(t, host);
  const stranger = await containersTools(t, host);
  const context = join(await temporaryDirectory(t), 'context');
  const image = `${host}/acme/app:1`;

  await t.test('get an error for a wrong password at once', async () => {
    const requests = await countRequests(() =>
      assert.rejects(
        alice.podman('login', '--username', 'alice', '--password', 'wrong', host),
        new RegExp(`logging into "${host}": invalid username/password`),
      ),
    );
    assertFewRefusals(requests);
  });

  await t.test('log in, push to their organisation and pull from it', async () => {
    const said = await alice.podman('login', '--username', 'alice', '--password', passwords.alice, host);
    assert.equal(said, 'Login Succeeded!\n');
    assert.equal(await alice.podman('login', '--get-login', host), 'alice\n');
    await writeBuildContext(context, 'hello from the team', { ballast: makeBallast() });
    await alice.podman('build', '--tag', image, context);
    await alice.podman('push', image);
    await alice.podman('image', 'rm', '--all', '--force');
    assert.equal(await alice.podman('run', '--rm', image), 'hello from the team\n');
  });

  await t.test('buildah commits directly to the registry with the same login', async () => {
    const working = (await alice.buildah('from', image)).trim();
    await alice.buildah('commit', '--rm', working, `docker://${host}/alice/derived:1`);
    await alice.podman('pull', `${host}/alice/derived:1`);
  });

  await t.test('find only the repositories that they may pull', async () => {
    const search = ['search', '--format', '{{.Name}}', `${host}/`];
    const found = async (tools: typeof alice) => (await tools.podman(...search)).split('\n').filter(Boolean);
    assert.deepEqual(await found(alice), [`${host}/acme/app`, `${host}/alice/derived`]);
    await stranger.podman('login', '--username', 'bob', '--password', passwords.bob, host);
    assert.deepEqual(await found(stranger), []);
  });

  await t.test('stop at once when they may not push', async () => {
    const elsewhere = `${host}/bob/app:1`;
    await alice.podman('tag', image, elsewhere);
    const requests = await countRequests(() =>
      assert.rejects(alice.podman('push', elsewhere), /requested access to the resource is denied/),
    );
    assertFewRefusals(requests);
  });

  await t.test(
    'cannot pull private images as another user or after a logout, but can pull public ones',
    async () => {
      await assert.rejects(
        stranger.podman('pull', image),
        /requested access to the resource is denied|unauthorized/,
      );
      await stranger.podman('logout', host);
      await assert.rejects(
        stranger.podman('pull', image),
        /requested access to the resource is denied|unauthorized/,
      );
      await berth('repo', 'set', 'acme/app', '--visibility', 'public');
      assert.equal(await stranger.podman('run', '--rm', image), 'hello from the team\n');
      await berth('repo', 'set', 'acme/app', '--visibility', 'private');
      await alice.podman('logout', host);
      await alice.podman('image', 'rm', '--all', '--force');
      await assert.rejects(
        alice.podman('pull', image),
        /requested access to the resource is denied|unauthorized/,
      );
    },
  );

  await t.test("use docker's login, and their own after docker's is removed", async () => {
    // docs/how-to/robot-in-ci.md describes this.
    const response = await fetch(`${registry.url}/auth/token`, {
      method: 'POST',
      body: new URLSearchParams({
        ...{ grant_type: 'password', access_type: 'offline', client_id: 'docker', service: host },
        ...{ username: 'alice', password: passwords.alice },
      }),
    });
    const { refresh_token: identitytoken } = (await response.json()) as { refresh_token: string };
    const file = join(await temporaryDirectory(t), 'config.json');
    const auth = Buffer.from('alice:').toString('base64');
    await writeFile(file, JSON.stringify({ auths: { [host]: { auth, identitytoken } } }));
    await alice.podman('pull', '--authfile', file, image);
    const login = ['login', '--authfile', file, '--username', 'alice', '--password', passwords.alice, host];
    await assert.rejects(alice.podman(...login), /auth file contains an Identity token/);
    await alice.podman('logout', '--authfile', file, host);
    assert.equal(await alice.podman(...login), 'Login Succeeded!\n');
  });

  await t.test('push as a robot with a token', async () => {
    const token = await berth('token', 'create', '--robot', 'acme+ci', '--expires', '30d');
    await alice.podman('login', '--username', 'acme+ci', '--password', token, host);
    await alice.podman('build', '--tag', image, context);
    await alice.podman('push', image);
  });
});
