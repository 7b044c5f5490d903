import assert from 'node:assert/strict';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { berth, berthIn, makeRegistry } from '../../test/support/berth.ts';
import { makeManifest } from '../../test/support/manifests.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { Manifests } from '../core/manifests.ts';
import { system } from '../db/changes.ts';
import { openSqlite } from '../db/sqlite/sqlite.ts';
import { parseName } from '../oci/name.ts';
import { parseReference } from '../oci/reference.ts';

const [a, b] = [makeManifest('a'), makeManifest('b\u001b[2J')];
const client = 'docker/28.5.1 go/go1.24';

/** A registry whose tag acme/app:v1 was moved from manifest a to b. Their blobs are missing. */
async function registry(t: TestContext) {
  const data = join(await temporaryDirectory(t), 'data');
  await makeRegistry(data);
  await using opened = new AsyncDisposableStack();
  const database = await openSqlite(join(data, 'berth.db'), { checkpoints: false });
  opened.defer(() => database.close());
  const manifests = new Manifests({
    database,
    clock: database.clock,
    missingReferences: 'all',
    immutableTags: [],
  });
  const by = { ...system, actor: 'user:7', actor_name: 'alice', credential: 'token:3', client };
  const rights = { mayCreate: true, mayUpdate: true };
  for (const manifest of [a, b]) {
    const push = { ...manifest, tags: [], conditions: {}, rights, by };
    await manifests.put(parseName('acme/app'), parseReference('v1'), push);
  }
  const run = (...args: string[]) => berth(...args, '--data', data);
  return {
    data,
    run,
    tag: (...args: string[]) => run('tag', ...args),
    json: async (...args: string[]) => JSON.parse((await run(...args, '--json')).out),
  };
}

test('lists tags with their manifests', async (t) => {
  const { tag, json } = await registry(t);
  const [{ pushedAt, ...listed }] = await json('tag', 'list', 'acme/app');
  assert.match(pushedAt, /^\d{4}-.*Z$/);
  assert.deepEqual(listed, {
    ...{ tag: 'v1', digest: b.digest, mediaType: b.contentType },
    ...{ platforms: [], size: 0, pushedBy: 'alice', pulledAt: null },
  });
  const table = new RegExp(
    `^TAG +DIGEST +PLATFORMS +SIZE +PUSHED +BY +LAST PULLED\nv1 +${b.digest} +0 bytes +${pushedAt} +alice\n$`,
  );
  assert.match((await tag('list', 'acme/app')).out, table);
});

test('shows the history of a tag and of a repository, newest first, up to the limit', async (t) => {
  const { tag, json } = await registry(t);
  const history = await json('tag', 'history', 'acme/app:v1');
  const { at, ...newest } = history[0];
  assert.match(at, /^\d{4}-.*Z$/);
  assert.deepEqual(newest, {
    ...{ action: 'manifest.push', tag: 'v1', oldDigest: a.digest, newDigest: b.digest },
    ...{ actor: 'user:7', actorName: 'alice', credential: 'token:3', address: null, client },
  });
  assert.deepEqual([history.length, history[1].newDigest], [2, a.digest]);
  assert.deepEqual(await json('tag', 'history', 'acme/app'), history);
  assert.deepEqual(await json('tag', 'history', 'acme/app', '--limit', '1'), history.slice(0, 1));
  assert.deepEqual(await json('tag', 'history', 'acme/app:v2'), []);
  await tag('delete', 'acme/app:v1');
  const [, deletion, push] = (await tag('history', 'acme/app:v1')).out.split('\n') as [
    string,
    string,
    string,
  ];
  assert.match(deletion, new RegExp(`^\\S+ +v1 +tag.delete +deleted +${b.digest.slice(0, 19)} +\\S+ +none$`));
  assert.match(push, new RegExp(` ${b.digest} +${a.digest.slice(0, 19)} +alice +token:3 +docker/28.5.1$`));
});

test('a rollback is planned with --dry-run, done without, and undone by a second one', async (t) => {
  const { tag, json } = await registry(t);
  const plan = await tag('rollback', 'acme/app:v1', '--dry-run');
  assert.equal(plan.out, `acme/app:v1 would point to ${a.digest}; now: ${b.digest}\n`);
  assert.equal((await json('tag', 'list', 'acme/app'))[0].digest, b.digest);
  const done = await tag('rollback', 'acme/app:v1');
  assert.equal(done.out, `acme/app:v1 points to ${a.digest}; before: ${b.digest}\n`);
  assert.equal((await json('tag', 'list', 'acme/app'))[0].digest, a.digest);
  assert.deepEqual(await json('tag', 'rollback', 'acme/app:v1'), {
    ...{ tag: 'acme/app:v1', from: a.digest, to: b.digest, dryRun: false },
  });
  await tag('delete', 'acme/app:v1');
  const restored = await tag('rollback', 'acme/app:v1', '--to', a.digest);
  assert.equal(restored.out, `acme/app:v1 points to ${a.digest}; before: it did not exist\n`);
  const again = await tag('rollback', 'acme/app:v1', '--to', a.digest);
  assert.equal(again.out, `acme/app:v1 points to ${a.digest} already\n`);
  assert.match(
    (await tag('rollback', 'acme/app:v1', '--before', '1h')).err,
    /did not exist before it was set to/,
  );
});

test('copies an image to another repository, and says what it changed', async (t) => {
  const { json, data } = await registry(t);
  const copy = (...args: string[]) =>
    berthIn({ BERTH_MANIFESTS_MISSING_REFERENCES: 'all' }, 'tag', 'copy', ...args, '--data', data);
  assert.equal(
    (await copy('acme/app:v1', 'prod/app:v1')).out,
    `prod/app:v1 points to ${b.digest} (1 new manifest); before: it did not exist\n`,
  );
  assert.equal(
    (await copy('acme/app:v1', 'prod/app:v1')).out,
    `prod/app:v1 points to ${b.digest} already (0 new manifests)\n`,
  );
  const older = await copy(`acme/app@${a.digest}`, 'prod/app:v1', '--no-referrers', '--json');
  assert.deepEqual(JSON.parse(older.out), {
    ...{ tag: 'prod/app:v1', digest: a.digest, copied: 1, before: b.digest },
  });
  assert.equal((await json('tag', 'list', 'prod/app'))[0].digest, a.digest);
});

test('copies no image whose blobs are missing', async (t) => {
  const { tag } = await registry(t);
  const { err } = await tag('copy', 'acme/app:v1', 'prod/app:v1');
  assert.match(err, /^berth: acme\/app:v1 is incomplete: acme\/app does not hold sha256:[0-9a-f]{64}\n$/);
});

test('deletes a tag', async (t) => {
  const { tag, json } = await registry(t);
  assert.equal(
    (await tag('delete', 'acme/app:v1')).out,
    'deleted acme/app:v1, and not its image; "berth trash restore acme/app:v1" restores it\n',
  );
  assert.equal((await tag('delete', 'acme/app:v1')).err, 'berth: there is no image acme/app:v1\n');
  assert.deepEqual(await json('tag', 'list', 'acme/app'), []);
});

test('deletes an image with all its tags, which the trash restores', async (t) => {
  const { run, json } = await registry(t);
  const named = `acme/app@${b.digest}`;
  assert.equal(
    (await run('image', 'delete', 'acme/app:v1')).out,
    `deleted ${named} with its tags; "berth trash restore ${named}" restores both\n`,
  );
  assert.deepEqual(await json('tag', 'list', 'acme/app'), []);
  assert.equal((await run('image', 'delete', named)).err, `berth: there is no image ${named}\n`);
  await run('trash', 'restore', named);
  const tags = await json('tag', 'list', 'acme/app');
  assert.deepEqual(
    tags.map(({ tag, digest }: { tag: string; digest: string }) => [tag, digest]),
    [['v1', b.digest]],
  );
  assert.deepEqual(await json('image', 'delete', `acme/app@${a.digest}`), {
    deleted: `acme/app@${a.digest}`,
  });
});

test('records the changes of tags with the operating-system user', async (t) => {
  const { run, tag } = await registry(t);
  await tag('rollback', 'acme/app:v1');
  await tag('delete', 'acme/app:v1');
  const events = (await run('audit', 'export')).out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .slice(2);
  const actor = `cli:${userInfo().username}`;
  assert.deepEqual(
    events.map((event) => [
      event.action,
      event.actor,
      event.repository,
      event.tag,
      event.digest,
      event.oldDigest,
    ]),
    [
      ['tag.rollback', actor, 'acme/app', 'v1', a.digest, b.digest],
      ['tag.delete', actor, 'acme/app', 'v1', a.digest, undefined],
    ],
  );
});

const refused = [
  ['tag list acme/nope', 1, 'berth: there is no repository acme/nope'],
  ['tag list acme/app:v1', 1, 'berth: "acme/app:v1" is not a valid repository name'],
  ['tag history acme/nope:v1', 1, 'berth: there is no repository acme/nope'],
  [`tag history acme/app@${a.digest}`, 1, `berth: "acme/app@`],
  ['tag history acme/app --limit 0', 2, 'error: option'],
  ['tag rollback acme/app', 1, 'berth: "acme/app" has no tag: write acme/app:TAG'],
  ['tag rollback acme/app:v2', 1, 'berth: there is no tag acme/app:v2, and no record of one'],
  ['tag rollback acme/app:v1 --to sha256:1', 1, 'berth: "sha256:1" is not a digest'],
  [
    `tag rollback acme/app:v1 --to sha256:${'0'.repeat(64)}`,
    1,
    'berth: acme/app does not hold manifest sha256:0',
  ],
  ['tag rollback acme/app:v1 --before soon', 2, 'error: option'],
  [
    'tag rollback acme/app:v1 --before 2001-01-01',
    2,
    'error: --before 2001-01-01T00:00:00Z: the history of tags',
  ],
  [`tag rollback acme/app:v1 --before 1d --to ${a.digest}`, 2, 'error: option'],
  ['tag copy acme/nope:v1 prod/app:v1', 1, 'berth: there is no repository acme/nope'],
  ['tag copy acme/app:v2 prod/app:v1', 1, 'berth: there is no image acme/app:v2'],
  ['tag copy acme/app prod/app:v1', 1, 'berth: "acme/app" has neither a tag nor a digest'],
  ['tag copy acme/app@x prod/app:v1', 1, 'berth: "x" is not a digest'],
  [`tag copy acme/app:v1 prod/app@${a.digest}`, 1, 'berth: "prod/app@'],
  ['tag delete acme/nope:v1', 1, 'berth: there is no repository acme/nope'],
  ['image inspect acme/app:v2', 1, 'berth: there is no image acme/app:v2'],
  [
    'image inspect localhost:5000/acme/app',
    1,
    'berth: "5000/acme/app" is not a tag; write the image without',
  ],
] as const;

test('refuses mistakes with one line', async (t) => {
  const { run } = await registry(t);
  for (const [line, exitCode, message] of refused) {
    const ended = await run(...line.split(' '));
    assert.deepEqual([ended.exitCode, ended.out], [exitCode, ''], line);
    assert.ok(ended.err.startsWith(message), `${line}: ${ended.err}`);
    assert.equal(ended.err.trimEnd().split('\n').length, 1, ended.err);
  }
});

test('inspects an image, without control characters of its annotations', async (t) => {
  const { run, json } = await registry(t);
  const shown = await json('image', 'inspect', 'acme/app:v1');
  assert.deepEqual([shown.digest, shown.annotations, shown.tags], [b.digest, { label: b.label }, ['v1']]);
  const { out, exitCode } = await run('image', 'inspect', `acme/app@${b.digest}`);
  assert.equal(exitCode, 0);
  assert.match(out, new RegExp(`^digest +${b.digest}\n`));
  assert.match(out, /\nannotation label +b \[2J\n/);
});
