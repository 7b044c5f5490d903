import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { berth, makeRegistry } from '../../test/support/berth.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';

async function registry(t: TestContext) {
  const data = join(await temporaryDirectory(t), 'data');
  await makeRegistry(data);
  return (...args: string[]) => berth('repo', ...args, '--data', data);
}

test('a repository can be made public before its first push, with a note', async (t) => {
  const repo = await registry(t);
  const set = ['set', 'acme/app', '--visibility', 'public'];
  assert.deepEqual(await repo(...set), {
    exitCode: 0,
    out: 'acme/app is public\n',
    err: 'berth: acme/app has no content yet; it is public from its first push on\n',
  });
  assert.deepEqual(await repo(...set), { exitCode: 0, out: 'acme/app is public\n', err: '' });
  assert.deepEqual(JSON.parse((await repo(...set, '--json')).out), {
    name: 'acme/app',
    visibility: 'public',
  });
});

test('repositories are listed by prefix, and shown with the rights of accounts', async (t) => {
  const repo = await registry(t);
  for (const name of ['acme/app', 'acme/app2', 'bob/app']) {
    await repo('set', name, '--visibility', 'private');
  }
  const list = async (...prefix: string[]) =>
    JSON.parse((await repo('list', ...prefix, '--json')).out).map(({ name }: { name: string }) => name);
  assert.deepEqual(await list(), ['acme/app', 'acme/app2', 'bob/app']);
  assert.deepEqual(await list('acme/'), ['acme/app', 'acme/app2']);
  assert.deepEqual(await list('acme/app'), ['acme/app', 'acme/app2']);
  assert.deepEqual(await list('x'), []);
  const { id, access, ...shown } = JSON.parse((await repo('show', 'acme/app', '--json')).out);
  assert.ok(id > 0);
  assert.deepEqual(shown, { name: 'acme/app', visibility: 'private', tags: 0, manifests: 0 });
  assert.deepEqual(
    access.map(({ kind }: { kind: string }) => kind),
    ['administrators'],
  );
  assert.match(
    (await repo('show', 'acme/app')).out,
    /^NAME +ID +VISIBILITY.*\nacme\/app .*\n\nACCOUNT +RIGHTS +SOURCE\n/,
  );
});

test('deletes a repository, and no other whose name begins with the same text', async (t) => {
  const repo = await registry(t);
  for (const name of ['acme/app', 'acme/app2']) await repo('set', name, '--visibility', 'public');
  assert.equal(
    (await repo('delete', 'acme/app')).out,
    'deleted acme/app; "berth trash restore acme/app" restores it\n',
  );
  for (const command of ['delete', 'show']) {
    const { exitCode, err } = await repo(command, 'acme/app');
    assert.deepEqual([exitCode, err], [1, 'berth: there is no repository acme/app\n']);
  }
  assert.match((await repo('list')).out, /\nacme\/app2 +public +0 +0\n$/);
  assert.match((await repo('delete', '../etc')).err, /^berth: "\.\.\/etc" is not a valid repository name: /);
});
