import assert from 'node:assert/strict';
import { readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { berth, berthIn, makeRegistry } from '../../test/support/berth.ts';
import { DistributionTree } from '../../test/support/distribution-tree.ts';
import { digestOf } from '../../test/support/inject.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';

test('adopts a tree, reports findings and ends with exit code 1 after errors', async (t) => {
  const data = await temporaryDirectory(t);
  const tree = new DistributionTree(data);
  await tree.image('app', 'good', 'good');
  await tree.layer('app', 'lost');
  await rm(tree.blobFile(digestOf('lost')));
  const subject = `blob ${digestOf('lost')} of app`;
  const { exitCode, out, err } = await berth('adopt', '--data', data);
  assert.equal(exitCode, 1);
  assert.equal(
    out,
    `error: ${subject}: it is linked, but its bytes are missing
adopted 1 repository, 1 manifest, 1 tag; 3 blobs (417 bytes) in the store
new in this run: 1 manifest, 1 tag, 2 blobs of repositories
1 error, 0 notes
You can still go back to the former registry: no file of its tree was changed. After 30 days (deletes.keepUnknownFor)
garbage collection deletes the files that Berth does not need, such as manifests, which are in its database now.
`,
  );
  assert.equal(err, `berth: 1 error in the blob store in ${data}\n`);
  const { out: json } = await berth('adopt', '--data', data, '--json');
  const lines = json.trim().split('\n');
  assert.deepEqual(
    lines.map((line) => JSON.parse(line)),
    [
      {
        severity: 'error',
        kind: 'blob-missing',
        subject,
        problem: 'it is linked, but its bytes are missing',
      },
      {
        adopted: {
          repositories: 1,
          blobs: 3,
          bytes: 417,
          manifests: 1,
          tags: 1,
          uploads: 0,
          unreadable: 0,
          added: { links: 0, manifests: 0, tags: 0 },
        },
        dryRun: false,
        errors: 1,
        notes: 0,
      },
    ],
  );
});

test('a dry run reports the same and leaves nothing behind', async (t) => {
  const data = await temporaryDirectory(t);
  await new DistributionTree(data).image('app', 'good', 'good');
  const left = async () => (await readdir(tmpdir())).filter((name) => name.startsWith('berth-adopt-'));
  const before = await left();
  const { exitCode, out } = await berth('adopt', '--data', data, '--dry-run');
  assert.equal(exitCode, 0);
  assert.match(
    out,
    /^would adopt 1 repository, 1 manifest, 1 tag; .*\n0 errors, 0 notes; nothing was changed\n$/,
  );
  assert.deepEqual(await readdir(data), ['docker']);
  assert.deepEqual(await left(), before);
});

test('prints no control characters of names', async (t) => {
  const data = await temporaryDirectory(t);
  await new DistributionTree(data).image('app\x1b[31m', 'good', 'good');
  const { out } = await berth('adopt', '--data', data);
  assert.match(out, /^error: repository app\ufffd\[31m: Berth does not allow/);
});

test('refuses a directory without repositories, and creates no database there', async (t) => {
  const data = await temporaryDirectory(t);
  const { exitCode, err } = await berth('adopt', '--data', data);
  assert.equal(exitCode, 1);
  assert.match(
    err,
    /^berth: the blob store in .* has no docker\/registry\/v2\/repositories\/: give the root directory/,
  );
  assert.deepEqual(await readdir(data), []);
});

test('refuses a store that belongs to another registry', async (t) => {
  const data = await temporaryDirectory(t);
  await new DistributionTree(data).image('app', 'good', 'good');
  assert.equal((await berth('adopt', '--data', data)).exitCode, 0);
  await rm(join(data, 'berth.db'));
  await makeRegistry(data);
  for (const flags of [[], ['--dry-run']]) {
    const { exitCode, err } = await berth('adopt', '--data', data, ...flags);
    assert.equal(exitCode, 1);
    assert.match(err, /^berth: the database in .* is empty, but the blob store in .* holds registry /);
  }
});

test('refuses to write while the registry is read-only', async (t) => {
  const data = await temporaryDirectory(t);
  await new DistributionTree(data).image('app', 'good', 'good');
  await makeRegistry(data);
  await berth('read-only', 'on', '--data', data);
  const { exitCode, err } = await berth('adopt', '--data', data);
  assert.deepEqual([exitCode, err], [1, 'berth: the registry is read-only: maintenance\n']);
});

test('accepts the configured store as an argument, and folders of its tree', async (t) => {
  const data = await temporaryDirectory(t);
  await new DistributionTree(data).image('app', 'good', 'good');
  for (const path of [
    '',
    '/',
    '/docker',
    '/docker/registry',
    '/docker/registry/v2',
    '/docker/registry/v2/',
  ]) {
    assert.equal((await berth('adopt', data + path, '--data', data, '--dry-run')).exitCode, 0, path);
  }
});

test('refuses another place with the settings to write', async (t) => {
  const data = await temporaryDirectory(t);
  const bucket = {
    BERTH_STORAGE_TYPE: 's3',
    BERTH_STORAGE_S3_BUCKET: 'images',
    BERTH_STORAGE_S3_PREFIX: 'one/',
    BERTH_STORAGE_S3_REGION: 'eu-west-1',
    BERTH_STORAGE_S3_ENDPOINT: 'http://127.0.0.1:1',
  };
  const cases: [place: string, env: Record<string, string>, settings: string][] = [
    ['/srv/registry/docker', {}, 'data: /srv/registry\n\nor call berth with --data /srv/registry, '],
    ['/srv/registry', bucket, 'data: /srv/registry\nstorage:\n  type: filesystem\n'],
    [
      's3://images/two',
      bucket,
      'storage:\n  type: s3\n  s3:\n    bucket: images\n    prefix: two/\n    region: eu-west-1\n    endpoint: http://127.0.0.1:1',
    ],
    [
      's3://other/docker/registry/v2',
      {},
      'storage:\n  type: s3\n  s3:\n    bucket: other\n    region: us-east-1\n    # endpoint: ',
    ],
  ];
  for (const [place, env, settings] of cases) {
    const { exitCode, err } = await berthIn(env, 'adopt', place, '--data', data);
    assert.equal(exitCode, 1);
    assert.ok(err.startsWith(`berth: ${place} is not the b`), err);
    assert.ok(err.includes(`Put this into berth.yaml, and run the command again:\n\n${settings}`), err);
  }
  const { exitCode, err } = await berth('adopt', 's3:///x', '--data', data);
  assert.deepEqual([exitCode, err], [2, 'error: expected s3://BUCKET or s3://BUCKET/PREFIX, got s3:///x\n']);
});
