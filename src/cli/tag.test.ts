import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { berth, berthIn, makeRegistry } from '../../test/support/berth.ts';
import { makeManifest } from '../../test/support/manifests.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { Manifests } from '../core/manifests.ts';
import { system } from '../db/changes.ts';
import { openSqlite } from '../db/sqlite/sqlite.ts';
import { parseName } from '../oci/name.ts';
import { parseTag } from '../oci/reference.ts';

/** A registry with the organisation acme and the user alice. */
async function registry(t: TestContext) {
  const data = join(await temporaryDirectory(t), 'data');
  await makeRegistry(data);
  const run = (...args: string[]) => berth(...args, '--data', data);
  await run('org', 'create', 'acme');
  await run('user', 'create', 'alice');
  const rule = (...args: string[]) => run('tag', 'rule', ...args);
  return { data, run, rule };
}

async function push(data: string, repository: string, tag: string): Promise<void> {
  const database = await openSqlite(join(data, 'berth.db'), { checkpoints: false });
  try {
    const parts = { database, clock: () => 1, missingReferences: 'all', immutableTags: [] } as const;
    await new Manifests(parts).put(
      parseName(repository),
      { kind: 'tag', tag: parseTag(tag) },
      {
        ...makeManifest('first'),
        tags: [],
        conditions: {},
        rights: { mayCreate: true, mayUpdate: true },
        by: system,
      },
    );
  } finally {
    await database.close();
  }
}

test('rules are added, listed, tested and removed', async (t) => {
  const { rule, data } = await registry(t);
  for (const [args, out] of [
    [['semver  except  *-dev', '--namespace', 'acme'], 'acme'],
    [['v*', '--namespace', 'alice'], 'alice'],
  ] as const) {
    const text = args[0].replaceAll(/ +/g, ' ');
    const added = { exitCode: 0, out: `tags of ${out} are immutable by the rule "${text}"\n`, err: '' };
    assert.deepEqual(await rule('add', ...args), added);
    assert.deepEqual(await rule('add', ...args), added, 'a second time');
  }
  const first = await rule('add', 'v*', '--repository', 'acme/app', '--json');
  assert.equal(first.err, 'berth: acme/app has no content yet; the rule holds from its first push on\n');
  assert.deepEqual(JSON.parse(first.out), { rule: 'v*', repository: 'acme/app' });

  const env = { BERTH_TAGS_IMMUTABLE: 'stable-*, release', BERTH_DATA: data };
  assert.equal(
    (await berthIn(env, 'tag', 'rule', 'list')).out,
    [
      'RULE                 FROM',
      'stable-*             configuration',
      'release              configuration',
      'semver except *-dev  namespace acme',
      'v*                   namespace alice',
      'v*                   repository acme/app',
      '',
    ].join('\n'),
  );
  const ofApp = JSON.parse(
    (await berthIn(env, 'tag', 'rule', 'list', '--repository', 'acme/app', '--json')).out,
  );
  assert.deepEqual(ofApp, [
    { rule: 'v*', level: 'repository', name: 'acme/app' },
    { rule: 'semver except *-dev', level: 'namespace', name: 'acme' },
    { rule: 'stable-*', level: 'configuration', name: null },
    { rule: 'release', level: 'configuration', name: null },
  ]);

  for (const [tag, found] of [
    ['acme/app:v1', 'immutable: rule "v*" of repository acme/app'],
    ['acme/new:1.0.0', 'immutable: rule "semver except *-dev" of namespace acme'],
    ['acme/new:release', 'immutable: rule "release" of the configuration'],
    ['acme/new:1.0.0-dev', 'not immutable'],
    ['alice/app:1.0.0', 'not immutable'],
  ]) {
    assert.equal((await berthIn(env, 'tag', 'rule', 'test', tag!)).out, `${tag} is ${found}\n`);
  }
  assert.deepEqual(JSON.parse((await rule('test', 'acme/app:v1', '--json')).out), {
    ...{ repository: 'acme/app', tag: 'v1', immutable: true },
    by: { rule: 'v*', level: 'repository', name: 'acme/app' },
  });

  const removed = await rule('remove', 'semver except *-dev', '--namespace', 'acme');
  assert.equal(removed.out, 'removed the rule "semver except *-dev" of acme\n');
  assert.equal((await rule('test', 'acme/new:1.0.0')).out, 'acme/new:1.0.0 is not immutable\n');
});

test('a rule of a repository in the trash is listed with a name that says so', async (t) => {
  const { rule, run } = await registry(t);
  await rule('add', 'v*', '--repository', 'acme/app');
  await run('repo', 'delete', 'acme/app');
  const listed = 'RULE  FROM\nv*    repository acme/app (in the trash)\n';
  assert.equal((await rule('list')).out, listed);
});

test('a command on rules that fails names the reason', async (t) => {
  const { rule } = await registry(t);
  await rule('add', 'v*', '--namespace', 'acme');
  for (const [args, code, message] of [
    [['add', 'v*'], 2, /^error: missing option: --namespace or --repository\n/],
    [['add', 'v*', '--namespace', 'a', '--repository', 'b'], 2, /cannot be used with/],
    [['add', 'v[0-9]', '--namespace', 'acme'], 1, /^berth: "v\[0-9\]" is not a rule for tags: a rule is a/],
    [['add', 'v*', '--namespace', 'nobody'], 1, /^berth: there is no organisation or user nobody\n/],
    [['add', 'v*', '--repository', 'A'], 1, /^berth: "A" is not a valid repository name/],
    [
      ['remove', 'w*', '--namespace', 'acme'],
      1,
      /^berth: namespace acme has no rule "w\*" \(it has "v\*"\)\n/,
    ],
    [['remove', 'v*', '--repository', 'acme/app'], 1, /^berth: there is no repository acme\/app\n/],
    [['test', 'acme/app'], 1, /^berth: "acme\/app" is not a repository with a tag, such as/],
    [['test', 'acme/app:-'], 1, /^berth: "acme\/app:-" is not a repository with a tag/],
  ] as const) {
    const { exitCode, out, err } = await rule(...args);
    assert.deepEqual([exitCode, out], [code, ''], args.join(' '));
    assert.match(err, message);
  }
});

test('refuses more than 100 rules of one namespace', async (t) => {
  const { data, rule } = await registry(t);
  const database = await openSqlite(join(data, 'berth.db'), { checkpoints: false });
  await database.transaction(async (db) => {
    const { id } = await db
      .selectFrom('accounts')
      .select('id')
      .where('name', '=', 'acme')
      .executeTakeFirstOrThrow();
    const rows = Array.from({ length: 100 }, (_, i) => ({ account_id: id, rule: `v${i}`, created_at: 1 }));
    await db.insertInto('tag_rules').values(rows).execute();
  });
  await database.close();
  const { exitCode, err } = await rule('add', 'w*', '--namespace', 'acme');
  assert.equal(exitCode, 1);
  assert.equal(err, 'berth: namespace acme has 100 rules, which is the limit; remove one first\n');
  assert.equal((await rule('add', 'v7', '--namespace', 'acme')).exitCode, 0, 'it has this rule');
});

test('a repository with an immutable tag is deleted only with --force', async (t) => {
  const { data, run, rule } = await registry(t);
  await push(data, 'acme/app', 'v1');
  await rule('add', 'v*', '--namespace', 'acme');
  assert.deepEqual(await run('repo', 'delete', 'acme/app'), {
    exitCode: 1,
    out: '',
    err: 'berth: acme/app cannot be deleted: tag v1 is immutable: rule "v*" of namespace acme; --force deletes it anyway\n',
  });
  const deleted = 'deleted acme/app; "berth trash restore acme/app" restores it\n';
  assert.equal((await run('repo', 'delete', 'acme/app', '--force')).out, deleted);

  await push(data, 'acme/app', 'latest');
  assert.equal((await run('repo', 'delete', 'acme/app')).out, deleted);
  await push(data, 'acme/app', 'release');
  const env = { BERTH_TAGS_IMMUTABLE: 'release', BERTH_DATA: data };
  assert.equal((await berthIn(env, 'repo', 'delete', 'acme/app')).exitCode, 1, 'a configured rule');
});
