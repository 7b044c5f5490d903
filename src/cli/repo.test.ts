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

test('renames a repository, lists its alias and deletes it', async (t) => {
  const repo = await registry(t);
  await repo('set', 'acme/app', '--visibility', 'public');
  const renamed = await repo('rename', 'acme/app', 'acme/web');
  assert.match(
    renamed.out,
    /^renamed acme\/app to acme\/web; acme\/app works as an alias until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n$/,
  );
  assert.match(
    (await repo('alias', 'list')).out,
    /^ALIAS +REPOSITORY +UNTIL *\nacme\/app +acme\/web +\d{4}-/,
  );
  assert.equal((await repo('alias', 'delete', 'acme/app')).out, 'deleted the alias acme/app of acme/web\n');
  assert.deepEqual(JSON.parse((await repo('alias', 'list', '--json')).out), []);
  const back = JSON.parse((await repo('rename', 'acme/web', 'acme/app', '--no-alias', '--json')).out);
  assert.deepEqual(back, { from: 'acme/web', to: 'acme/app', aliasUntil: null, grants: [] });
  const short = JSON.parse((await repo('rename', 'acme/app', 'acme/x', '--alias-for', '2h', '--json')).out);
  assert.ok(Math.abs(Date.parse(short.aliasUntil) - Date.now() - 7_200_000) < 60_000);
});

test('names the accounts whose grants do not follow a rename', async (t) => {
  const data = join(await temporaryDirectory(t), 'data');
  await makeRegistry(data);
  const run = (line: string) => berth(...line.split(' '), '--data', data);
  await run('user create alice --no-password');
  await run('repo set acme/app --visibility private');
  await run('grant set acme/app --user alice --role write');
  assert.equal(
    (await run('repo rename acme/app acme/web')).err,
    'berth: grants on acme/app do not apply to acme/web: user alice (write)\n',
  );
});

for (const [wrong, message] of [
  ['acme/app acme/web --alias-for never', 'Allowed: a duration up to 3650d'],
  ['acme/app acme/web --alias-for 0s', 'Allowed: a duration up to 3650d'],
  ['acme/app acme/web --alias-for 1d --no-alias', 'cannot be used with option'],
  ['acme/app', "missing required argument 'new-name'"],
]) {
  test(`refuses berth repo rename ${wrong}`, async () => {
    const { exitCode, err } = await berth('repo', 'rename', ...wrong!.split(' '), '--data', '/nowhere');
    assert.equal(exitCode, 2);
    assert.ok(err.includes(message!), err);
  });
}
