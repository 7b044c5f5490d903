import assert from 'node:assert/strict';
import { test } from 'node:test';
import { headManifest } from '../support/head-manifest.ts';
import { writeImageLayout } from '../support/images.ts';
import { needs } from '../support/needs.ts';
import { containersTools } from '../support/podman.ts';
import { hostArchitecture } from '../support/static-program.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { assertFewRefusals, passwords, startTeam } from './team.ts';

test('skopeo, logged in', async (t) => {
  if (!needs(t, 'skopeo')) return;
  const { host, berth, registry, countRequests } = await startTeam(t);
  const { skopeo } = await containersTools(t, host);
  const image = await writeImageLayout(await temporaryDirectory(t), 'hello from skopeo');
  const source = `oci:${image.layout}:latest`;
  const remote = (name: string) => `docker://${host}/${name}`;
  const basic = (name: keyof typeof passwords) =>
    `Basic ${Buffer.from(`${name}:${passwords[name]}`).toString('base64')}`;
  const head = (name: string, reference: string) =>
    headManifest(registry.url, name, reference, basic('admin'));

  await t.test('gets an error for a wrong password at once', async () => {
    const requests = await countRequests(() =>
      assert.rejects(
        skopeo('login', '--username', 'alice', '--password', 'wrong', host),
        new RegExp(`logging into \\\\?"${host}\\\\?": invalid username/password`),
      ),
    );
    assertFewRefusals(requests);
  });

  await t.test('copies to its organisation, and from there to its namespace', async () => {
    const said = await skopeo('login', '--username', 'alice', '--password', passwords.alice, host);
    assert.equal(said, 'Login Succeeded!\n');
    await skopeo('copy', '--all', '--preserve-digests', source, remote('acme/app:1'));
    await skopeo('copy', '--all', '--preserve-digests', remote('acme/app:1'), remote('alice/app:1'));
    for (const name of ['acme/app', 'alice/app']) {
      assert.equal((await head(name, '1')).digest, image.digest);
    }
  });

  await t.test('lists tags and inspects', async () => {
    const list = JSON.parse(await skopeo('list-tags', remote('acme/app')));
    assert.deepEqual(list, { Repository: `${host}/acme/app`, Tags: ['1'] });
    const inspected = JSON.parse(await skopeo('inspect', remote('acme/app:1')));
    assert.equal(inspected.Digest, image.digest);
  });

  await t.test('copies from and to the former name of a repository', async () => {
    await skopeo('copy', '--all', source, remote('acme/old:1'));
    await berth('repo', 'rename', 'acme/old', 'acme/new');
    await skopeo('copy', '--all', '--preserve-digests', remote('acme/old:1'), remote('acme/old:2'));
    for (const name of ['acme/new', 'acme/old']) assert.equal((await head(name, '2')).digest, image.digest);
    const tags = JSON.parse(await skopeo('list-tags', remote('acme/new')));
    assert.deepEqual(tags.Tags, ['1', '2']);
  });

  await t.test('stops at once when it may not push', async () => {
    const requests = await countRequests(() =>
      assert.rejects(
        skopeo('copy', source, remote('bob/app:1')),
        /requested access to the resource is denied/,
      ),
    );
    assertFewRefusals(requests);
  });

  await t.test('deletes with the role maintain, but not with write or a token for pushes', async () => {
    await assert.rejects(skopeo('delete', remote('acme/app:1')), /denied|unauthorized/i);
    const scope = ['--scope', 'repository:alice/**:pull,push'];
    const token = await berth('token', 'create', '--user', 'alice', ...scope, '--expires', '1h');
    const pushing = `alice:${token}`;
    await skopeo('copy', '--dest-creds', pushing, '--all', source, remote('alice/pushed:1'));
    const deleted = skopeo('delete', '--creds', pushing, remote('alice/pushed:1'));
    await assert.rejects(deleted, /denied|unauthorized/i);
    assert.equal((await head('acme/app', '1')).status, 200);
    assert.equal((await head('alice/pushed', '1')).status, 200);

    await berth('grant', 'set', 'acme/**', '--user', 'alice', '--role', 'maintain');
    await skopeo('delete', remote('acme/app:1'));
    assert.equal((await head('acme/app', '1')).status, 404);
  });

  await t.test(
    'cannot read private repositories after a logout, as another user or with a revoked token',
    async () => {
      const refused = /denied|unauthorized|authentication required/i;
      await skopeo('logout', host);
      await assert.rejects(skopeo('inspect', remote('alice/app:1')), refused);
      const asBob = ['--creds', `bob:${passwords.bob}`];
      await assert.rejects(skopeo('inspect', ...asBob, remote('alice/app:1')), refused);

      const { id, token } = JSON.parse(
        await berth('token', 'create', '--user', 'alice', '--expires', '1h', '--json'),
      );
      const withToken = ['--creds', `alice:${token}`];
      await skopeo('inspect', ...withToken, remote('alice/app:1'));
      await berth('token', 'revoke', String(id));
      await assert.rejects(skopeo('inspect', ...withToken, remote('alice/app:1')), refused);
    },
  );

  await t.test('reads public repositories without a login', async () => {
    await berth('repo', 'set', 'alice/app', '--visibility', 'public');
    const inspected = JSON.parse(await skopeo('inspect', remote('alice/app:1')));
    assert.equal(inspected.Architecture, hostArchitecture);
  });
});
