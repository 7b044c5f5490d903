import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { berth, makeRegistry } from '../../test/support/berth.ts';
import { makeManifest } from '../../test/support/manifests.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { Manifests } from '../core/manifests.ts';
import { system } from '../db/changes.ts';
import { openSqlite } from '../db/sqlite/sqlite.ts';
import { parseName } from '../oci/name.ts';
import { parseReference } from '../oci/reference.ts';

const manifest = makeManifest('a');
const by = { ...system, actor: 'user:7', actor_name: 'alice' };
const app = parseName('acme/app');

/** A registry whose manifest acme/app:v1 alice deleted, with that tag. */
async function registry(t: TestContext) {
  const data = join(await temporaryDirectory(t), 'data');
  await makeRegistry(data);
  await using opened = new AsyncDisposableStack();
  const database = await openSqlite(join(data, 'berth.db'), { checkpoints: false });
  opened.defer(() => database.close());
  const manifests = new Manifests({
    ...{ database, clock: database.clock, missingReferences: 'all', immutableTags: [], trash: true },
  });
  const rights = { mayCreate: true, mayUpdate: true };
  const push = { ...manifest, tags: [], conditions: {}, rights, by };
  await manifests.put(app, parseReference('v1'), push);
  await manifests.delete(app, parseReference(manifest.digest), by);
  const run = (...args: string[]) => berth(...args, '--data', data);
  return { run, list: async (...args: string[]) => (await run('trash', 'list', ...args)).out };
}

test('lists what was deleted, by whom and until when, in the registry, a namespace or a repository', async (t) => {
  const { list } = await registry(t);
  const time = '\\d{4}-\\S+Z';
  const rows = new RegExp(
    `^KIND +NAME +DELETED +BY +EXPIRES\\nmanifest +acme/app@${manifest.digest} +${time} +alice +${time}\\n` +
      `tag +acme/app:v1 +${time} +alice +${time}\\n$`,
  );
  for (const scope of [[], ['acme'], ['acme/app']]) assert.match(await list(...scope), rows);
  assert.doesNotMatch(await list('acme/ap'), /manifest/);
  const [{ deletedAt, expiresAt, ...entry }] = JSON.parse(await list('--json'));
  assert.equal(Date.parse(expiresAt) - Date.parse(deletedAt), 7 * 24 * 3_600_000);
  assert.deepEqual(entry, {
    ...{ kind: 'manifest', name: `acme/app@${manifest.digest}`, repository: 'acme/app' },
    ...{ digest: manifest.digest, deletedBy: 'alice' },
  });
});

test('restores by the listed names, and says what cannot be restored', async (t) => {
  const { run, list } = await registry(t);
  const restored = await run('trash', 'restore', 'acme/app:v1');
  assert.equal(restored.out, 'restored acme/app:v1\nmanifests: 1\ntags: v1\n');
  for (const [arguments_, message] of [
    [
      ['acme/app:v1'],
      /^berth: acme\/app:v1 is not in the trash; "berth trash list acme\/app" lists what is\n$/,
    ],
    [['acme/app'], /^berth: there is no deleted repository acme\/app in the trash; /],
    [['acme/other:v1'], /^berth: there is no repository acme\/other, and none in the trash\n$/],
    [['acme/app:v1', '--as', 'acme/b'], /^berth: --as renames a repository, and acme\/app:v1 is none\n$/],
  ] as const) {
    const { exitCode, err } = await run('trash', 'restore', ...arguments_);
    assert.match(err, message);
    assert.equal(exitCode, 1);
  }
  await run('tag', 'delete', 'acme/app:v1');
  await run('repo', 'delete', 'acme/app');
  assert.match(await list(), /^repository +acme\/app .*\n.*tag +acme\/app:v1 /m);
  const renamed = await run('trash', 'restore', 'acme/app', '--as', 'acme/old');
  assert.equal(renamed.out, 'restored acme/app as acme/old\n');
  assert.match((await run('trash', 'restore', 'acme/old:v1')).out, /tags: v1/);
});

test('empties the trash only if that is confirmed', async (t) => {
  const { run, list } = await registry(t);
  const refused = await run('trash', 'empty', 'acme/app');
  assert.deepEqual(refused, {
    ...{ exitCode: 2, out: '' },
    err: 'error: berth trash empty deletes acme/app in the trash for good: confirm it with --yes\n',
  });
  assert.match(await list(), /acme/);
  const { out } = await run('trash', 'empty', 'acme/app', '--yes');
  assert.equal(out, 'deleted for good: 0 repositories, 1 manifests, 1 tags\n');
  assert.doesNotMatch(await list(), /acme/);
});

test('deletes a repository for good with --permanently', async (t) => {
  const { run, list } = await registry(t);
  const { out } = await run('repo', 'delete', 'acme/app', '--permanently');
  assert.equal(out, 'deleted acme/app for good\n');
  assert.doesNotMatch(await list(), /acme/);
});
