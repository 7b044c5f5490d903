// berth retention, from a policy file to removed tags.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { berth, makeRegistry } from '../../test/support/berth.ts';
import { makeManifest } from '../../test/support/manifests.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { Manifests } from '../core/manifests.ts';
import { system } from '../db/changes.ts';
import { noteProperty } from '../db/properties.ts';
import { openSqlite } from '../db/sqlite/sqlite.ts';
import { parseName } from '../oci/name.ts';
import { parseReference } from '../oci/reference.ts';

const day = 86_400_000;
const policy = `
rules:
  - tags: /^nightly-\\d+$/
    keep: { newest: 2, pushedWithin: 3d }
  - tags: "*"
    keep: { newest: 5, by: version }
untagged:
  removeAfter: 7d
`;

/** A registry whose repository acme/app got a nightly image each day, releases, and a tag that moves each day. */
async function registry(t: TestContext) {
  const directory = await temporaryDirectory(t);
  const data = join(directory, 'data');
  await makeRegistry(data);
  const database = await openSqlite(join(data, 'berth.db'), { checkpoints: false });
  let age = 10;
  const manifests = new Manifests({
    ...{ database, clock: () => Date.now() - age * day, missingReferences: 'all', immutableTags: [] },
  });
  for (; age > 0; age--) {
    for (const tag of [`nightly-${age}`, 'latest', `v1.${10 - age}.0`]) {
      await manifests.put(parseName('acme/app'), parseReference(tag), {
        ...{ ...makeManifest(`day ${age}`), tags: [], conditions: {}, by: system },
        rights: { mayCreate: true, mayUpdate: true },
      });
    }
  }
  await database.transaction((db) => noteProperty(db, 'pulls-since', '0'));
  await database.close();
  const file = join(directory, 'policy.yaml');
  writeFileSync(file, policy);
  const run = (...args: string[]) => berth('retention', ...args, '--data', data);
  const json = async (...args: string[]) => JSON.parse((await run(...args, '--json')).out);
  return { data, file, run, json };
}

test('plans, explains and applies the policy of a nightly build, and then finds nothing to do', async (t) => {
  const { data, file, run, json } = await registry(t);
  const nothing = await run('run');
  assert.match(nothing.out, /^repositories +0$/m);
  assert.match((await run('explain', 'acme/app')).err, /no retention policy applies to acme\/app/);
  assert.match((await run('plan', 'amce')).err, /there is no namespace or repository amce/);

  writeFileSync(
    `${file}.pulls`,
    'rules: [{ tags: nightly-*, keep: { pushedWithin: 5d, pulledWithin: 30d } }]',
  );
  assert.match(
    (await run('simulate', 'acme/app', '--policy', `${file}.pulls`)).out,
    /keep +nightly-9 +sha256:\w{12} +rule 1: pushed \S+Z, within 30d\n/,
  );
  writeFileSync(`${file}.long`, 'rules: []\nuntagged: { removeAfter: 3000d }');
  assert.match(
    (await run('simulate', 'acme/app', '--policy', `${file}.long`)).err,
    /no manifest without tags is removed: moves of tags are recorded for a shorter time than untagged.removeAfter/,
  );
  const simulated = await json('simulate', 'acme/app', '--policy', file);
  const set = await run('set', '--policy', file, '--registry');
  assert.match(set.out, /^set the retention policy of the registry; it is applied every 1d;/);
  assert.deepEqual(await json('explain', 'acme/app'), simulated);
  const removed = simulated.filter(({ action }: { action: string }) => action === 'remove');
  const planned = await json('plan');
  assert.deepEqual(
    planned.map(({ repository: _, ...rest }: { repository: string }) => rest),
    removed,
  );
  const nightlies = [10, 3, 4, 5, 6, 7, 8, 9].map((age) => `nightly-${age}`);
  assert.deepEqual(
    planned.map(({ tag }: { tag: string }) => tag),
    [...nightlies, ...[0, 1, 2, 3, 4].map((minor) => `v1.${minor}.0`)],
  );
  const text = (await run('plan')).out;
  assert.match(
    text,
    /nightly-9 +sha256:\w{12} +rule 1: not one of the newest 2 by push, not pushed within 3d\n/,
  );
  assert.match(text, /\n13 tags and 0 manifests without tags would be removed\n$/);

  assert.deepEqual(await json('run', 'acme'), { repositories: 1, tags: 13, manifests: 0 });
  assert.deepEqual(await json('run', 'acme/app'), { repositories: 1, tags: 0, manifests: 0 });
  const { out } = await berth('tag', 'history', 'acme/app:nightly-9', '--json', '--data', data);
  const [{ action, actor }] = JSON.parse(out);
  assert.deepEqual([action, actor], ['tag.delete', `cli:${userInfo().username}`]);
  assert.match((await run('explain', 'acme/app')).out, /keep +latest +sha256:\w{12} +no rule selects it\n/);
});

test('the nearest policy applies', async (t) => {
  const { data, file, run, json } = await registry(t);
  assert.equal((await berth('org', 'create', 'acme', '--data', data)).exitCode, 0);
  await run('set', '--policy', file, '--registry');
  const other = `${file}.other`;
  writeFileSync(other, '{"rules": []}');
  await run('set', '--policy', other, '--namespace', 'acme');
  assert.deepEqual(await json('plan'), []);
  assert.equal((await json('show', 'acme/app')).level, 'namespace');
  await run('set', '--policy', file, '--repository', 'acme/app');
  assert.match((await run('show', 'acme/app')).out, /^# the policy of repository acme\/app\n{/);
  assert.deepEqual(
    (await json('list')).map(({ level, name }: { level: string; name: string | null }) => [level, name]),
    [
      ['registry', null],
      ['namespace', 'acme'],
      ['repository', 'acme/app'],
    ],
  );
  for (const owner of [['--repository', 'acme/app'], ['--namespace', 'acme'], ['--registry']]) {
    assert.equal((await run('delete', ...owner)).exitCode, 0);
    assert.match((await run('delete', ...owner)).err, /has no retention policy/);
  }
  assert.deepEqual(await json('list'), []);
});

test('refuses an invalid policy, and a wait beyond the history of tags', async (t) => {
  const { file, run } = await registry(t);
  writeFileSync(file, 'rules: [{ tags: v*, keep: some }]');
  const { exitCode, err } = await run('simulate', 'acme/app', '--policy', file);
  assert.deepEqual(
    [exitCode, err.includes(`${file}:1:27: rules[0].keep is "some"; allowed: all, or`)],
    [2, true],
    err,
  );
  writeFileSync(file, 'rules: []\nuntagged: { removeAfter: 365d }');
  assert.match((await run('set', '--policy', file, '--registry')).err, /not shorter than history.keepFor/);
  assert.match((await run('plan', 'acm')).err, /there is no namespace or repository acm/);
  assert.equal((await run('plan', 'acme')).exitCode, 0);
  assert.match(
    (await run('set', '--policy', file)).err,
    /missing option: --repository, --namespace or --regist/,
  );
});
