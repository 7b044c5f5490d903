import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { berth } from '../../test/support/berth.ts';
import { examine, fsck } from '../../test/support/fsck.ts';
import { Client } from '../../test/support/inject.ts';
import { testRegistry } from '../../test/support/registry.ts';

test('sets, lists and deletes quotas, which count at once', async (t) => {
  const { app, data } = await testRegistry(t);
  const client = new Client(app.http);
  const run = async (...args: string[]) => berth(...args, '--data', data);
  const out = async (...args: string[]) => {
    const { exitCode, out, err } = await run(...args);
    assert.equal(exitCode, 0, err);
    return out;
  };
  await out('org', 'create', 'acme');
  await client.pushBlob('acme/app', randomBytes(2_000));
  assert.equal(
    await out('quota', 'set', 'acme', '--bytes', '4KiB', '--repositories', '1'),
    'limits of acme: bytes 4.0 KiB, repositories 1\n',
  );
  await out('quota', 'set', 'acme', '--tags', 'none');
  await out('quota', 'set', 'acme/app', '--tags', '5');
  assert.equal((await client.send('POST', '/v2/acme/web/blobs/uploads/')).status, 403);
  const used = { bytes: 2_000, tags: 0, repositories: 1 };
  assert.deepEqual(JSON.parse(await out('quota', 'list', '--json')), [
    { bytes: 4_096, tags: 0, repositories: 1, level: 'namespace', name: 'acme', used },
    { bytes: null, tags: 5, repositories: null, level: 'repository', name: 'acme/app', used },
  ]);
  assert.match(
    await out('quota', 'list'),
    /^NAME .*\nacme +namespace +2\.0 KiB of 4\.0 KiB +none +1 of 1\nacme\/app +rep.* default +0 of 5\n$/,
  );
  await out('quota', 'delete', 'acme');
  assert.equal((await client.send('POST', '/v2/acme/web/blobs/uploads/')).status, 202);

  const refusals: [args: string[], error: RegExp][] = [
    [['set', 'acme'], /missing option: --bytes, --tags or --repositories/],
    [['set', 'acme', '--bytes', 'much'], /Allowed: a size, such as 10GiB, none or default/],
    [['set', 'acme/none', '--tags', '1'], /there is no repository acme\/none/],
    [['set', 'bob', '--tags', '1'], /there is no user, organisation or repository bob/],
    [['set', 'acme/app', '--repositories', '1'], /acme\/app is a repository/],
    [['delete', 'acme'], /acme has no quota of its own/],
  ];
  for (const [args, error] of refusals) assert.match((await run('quota', ...args)).err, error);
});

test('shows usage, and fsck finds and repairs usage that a recount does not find', async (t) => {
  const { app, data } = await testRegistry(t);
  const client = new Client(app.http);
  const { digest } = await client.pushImage('acme/app', 'v1');
  assert.ok(digest);
  const usage = async (...args: string[]) => {
    const { exitCode, out, err } = await berth('usage', ...args, '--data', data);
    assert.equal(exitCode, 0, err);
    return out;
  };
  assert.match(
    await usage(),
    /^stored .*\nsum of all .*\nsaved.*\n.*\n.*\n\nNAMESPACE.*\nacme +\d+ bytes +\d+ +1 +1\n$/,
  );
  assert.match(await usage('acme'), /\n\nREPOSITORY.*\nacme\/app +\d+ bytes +\d+ bytes +\d+ +1\n$/);
  assert.match(await usage('acme/app'), /\n\nTAG .*\nv1 +(\d+) bytes +\1 bytes +\1 bytes\n$/);
  assert.equal(await usage('acme', '--days', '7'), 'DAY  SIZE  GROWTH  BLOBS  TAGS\n');
  assert.match((await berth('usage', '--days', '7', '--data', data)).err, /no usage is recorded yet/);
  for (const name of ['none', 'acme/none']) {
    const { err } = await berth('usage', name, '--data', data);
    assert.match(err, /there is no (namespace or )?repository/);
  }

  const database = new DatabaseSync(join(data, 'berth.db'));
  database.exec('update namespace_usage set bytes = bytes + 1; update repository_usage set tags = 9');
  database.close();
  const { exitCode, findings } = await examine(data);
  assert.deepEqual(
    [exitCode, findings.map(({ kind, subject }) => [kind, subject])],
    [
      1,
      [
        ['usage-wrong', 'repository acme/app'],
        ['usage-wrong', 'namespace acme'],
      ],
    ],
  );
  const repaired = await fsck('--repair', '--yes', '--data', data);
  assert.match(repaired.out, /the usage of 2 repositories and namespaces, counted again/);
  assert.equal((await examine(data)).exitCode, 0);
});
