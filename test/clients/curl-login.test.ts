import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from '../support/command.ts';
import { needs } from '../support/needs.ts';
import { passwords, startTeam } from './team.ts';

test('curl, with a password or a token', async (t) => {
  if (!needs(t, 'curl')) return;
  const { registry, berth } = await startTeam(t);
  /** The answer's status, and its body. */
  const curl = async (path: string, ...options: string[]) => {
    const args = ['--silent', '--show-error', '--write-out', '\n%{http_code}', ...options];
    const out = await run('curl', [...args, `${registry.url}${path}`]);
    const end = out.lastIndexOf('\n');
    return { status: Number(out.slice(end + 1)), body: out.slice(0, end) };
  };
  const start = ['--request', 'POST', '--data', ''];

  await t.test('needs neither a token server nor a challenge', async () => {
    for (const user of Object.keys(passwords) as (keyof typeof passwords)[]) {
      assert.equal((await curl('/v2/', '--user', `${user}:${passwords[user]}`)).status, 200);
    }
    const uploads = '/v2/alice/app/blobs/uploads/';
    assert.equal((await curl(uploads, ...start, '--user', `alice:${passwords.alice}`)).status, 202);
    assert.equal((await curl(uploads, ...start, '--user', `bob:${passwords.bob}`)).status, 403);
  });

  await t.test('gets a challenge without credentials and with wrong ones', async () => {
    for (const wrong of [[], ['--user', 'alice:wrong'], ['--user', 'nobody:wrong']]) {
      const { status, body } = await curl('/v2/', ...wrong);
      assert.equal(status, 401);
      assert.equal(JSON.parse(body).errors[0].code, 'UNAUTHORIZED');
      const head = await curl('/v2/', '--head', ...wrong);
      const challenge = /^www-authenticate: (.*?)\r?$/im.exec(head.body)?.[1];
      assert.equal(challenge?.split(',')[0], `Bearer realm="${registry.url}/auth/token"`);
    }
  });

  await t.test('gets a token for its scope only', async () => {
    const token = await berth('token', 'create', '--user', 'bob', '--expires', '1h');
    const scope = '?service=berth&scope=repository:bob/app:pull,push&scope=repository:alice/app:pull';
    const { status, body } = await curl(`/auth/token${scope}`, '--user', `bob:${token}`);
    assert.equal(status, 200);
    const bearer = ['--header', `Authorization: Bearer ${JSON.parse(body).token}`];
    assert.equal((await curl('/v2/bob/app/blobs/uploads/', ...start, ...bearer)).status, 202);
    assert.equal((await curl('/v2/bob/other/blobs/uploads/', ...start, ...bearer)).status, 401);
    assert.equal((await curl('/v2/alice/app/tags/list', ...bearer)).status, 401);
  });

  await t.test('sees in the catalog only what it may pull', async () => {
    await curl('/v2/alice/app/blobs/uploads/', ...start, '--user', `alice:${passwords.alice}`);
    const seen = async (...who: string[]) =>
      JSON.parse((await curl('/v2/_catalog', ...who)).body).repositories;
    assert.deepEqual(await seen('--user', `bob:${passwords.bob}`), []);
  });
});
