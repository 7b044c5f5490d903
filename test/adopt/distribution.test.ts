// Trees that CNCF distribution has written, through pushes of real clients, are adopted and served.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openSqlite } from '../../src/db/sqlite/sqlite.ts';
import { collectGarbage } from '../../src/jobs/collect-garbage.ts';
import { openFilesystemStore } from '../../src/storage/filesystem.ts';
import type { S3Settings } from '../../src/storage/s3/bucket.ts';
import { openS3Store } from '../../src/storage/s3/s3.ts';
import { clientOf } from '../crash/http-client.ts';
import { assertClean, bucket, database, type Place, place, succeed } from '../migrate/places.ts';
import { berth } from '../support/berth.ts';

import { type Distribution, startDistribution } from '../support/distribution.ts';
import { treeRoot } from '../support/distribution-tree.ts';
import { fileStates } from '../support/file-states.ts';
import { collectionParts } from '../support/garbage.ts';
import { writeImageLayout } from '../support/images.ts';
import {
  type Client,
  type Descriptor,
  digestOf,
  dockerManifest,
  imageOf,
  indexOf,
  ociConfig,
  type Pushed,
  randomConfig,
  refer,
} from '../support/inject.ts';
import { needs } from '../support/needs.ts';
import { containersTools } from '../support/podman.ts';
import { openTestPostgres } from '../support/postgres.ts';
import { bucketFolder, s3Settings } from '../support/s3.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const day = 24 * 60 * 60_000;

interface Pushes {
  /** Manifests by `name:tag` or `name@digest`. */
  readonly manifests: ReadonlyMap<string, Pushed>;
  readonly layer: Descriptor;
  readonly signed: Pushed;
  readonly signature: Pushed;
}

/** Pushes everything that clients push, and deletes and breaks off some of it. */
async function push(client: Client): Promise<Pushes> {
  const manifests = new Map<string, Pushed>();
  const layer = await client.pushContent('team/app', randomBytes(100_000));
  const config = await client.pushContent('team/app', randomConfig(), ociConfig);
  const signed = await client.pushManifest('team/app', imageOf(config, [layer]), 'v1');
  const other = await client.pushImage('team/app');
  const index = await client.pushManifest('team/app', indexOf([refer(signed), refer(other)]), 'multi');
  const subject = refer(signed);
  const signature = await client.pushManifest('team/app', {
    ...imageOf(config, [], { subject }),
    artifactType: 'application/vnd.example.signature',
  });
  // Mounted from another repository, in Docker's format.
  const mount = `?mount=${layer.digest}&from=team/app`;
  assert.equal((await client.send('POST', `/v2/copy/blobs/uploads/${mount}`)).status, 201);
  const copied = await client.pushContent('copy', randomConfig(), ociConfig);
  const docker = { ...imageOf(copied, [layer]), mediaType: dockerManifest };
  const copy = await client.pushManifest('copy', docker, 'docker');
  // A tag that has moved, a deleted manifest, and an upload that never ended.
  await client.pushImage('moved', 'latest');
  const latest = await client.pushImage('moved', 'latest');
  const gone = await client.pushImage('moved', 'gone');
  assert.equal((await client.delete(`/v2/moved/manifests/${gone.digest}`)).status, 202);
  await client.patch(await client.openUpload('moved'), randomBytes(1000));
  manifests.set('team/app:v1', signed).set('team/app:multi', index).set('copy:docker', copy);
  manifests.set('moved:latest', latest);
  for (const each of [signed, other, index, signature]) manifests.set(`team/app@${each.digest}`, each);
  return { manifests, layer, signed, signature };
}

/** Pulls every manifest by tag and digest, and every blob that it names. */
async function assertServes(client: Client, { manifests, signed, signature }: Pushes): Promise<void> {
  for (const [image, { bytes, digest, mediaType }] of manifests) {
    const [name, reference] = image.split(/[:@]([^/]+)$/) as [string, string];
    const pulled = await client.get(`/v2/${name}/manifests/${reference}`);
    assert.equal(pulled.status, 200, image);
    assert.deepEqual(pulled.body, bytes);
    assert.equal(pulled.headers['docker-content-digest'], digest);
    assert.equal(pulled.headers['content-type'], mediaType);
    const { config, layers = [] } = JSON.parse(bytes.toString());
    for (const blob of config ? [config, ...layers] : []) {
      const { body } = await client.get(`/v2/${name}/blobs/${blob.digest}`);
      assert.equal(digestOf(body), blob.digest);
    }
  }
  assert.deepEqual(await client.tags('team/app'), ['multi', 'v1']);
  assert.deepEqual(await client.tags('moved'), ['latest']);
  const found = await client.referrers('team/app', signed.digest);
  assert.deepEqual(
    found.map(({ digest }) => digest),
    [signature.digest],
  );
}

interface Adoption {
  readonly at: Place;
  readonly distribution: Distribution;
  /** The directory with the tree, for comparing its files. */
  readonly folder: string;
  /** Runs a garbage collection at this time. */
  collect(now: number): Promise<void>;
}

/** `undefined` if the machine lacks a program, and the test is skipped. */
async function onDirectory(t: TestContext): Promise<Adoption | undefined> {
  const data = await temporaryDirectory(t);
  const distribution = await startDistribution(t, data);
  if (distribution === undefined) return undefined;
  const at = await place(t, {}, data);
  const collect = async (now: number): Promise<void> => {
    const store = await openFilesystemStore(data);
    await collectWith(at, store, now);
  };
  return { at, distribution, folder: join(data, treeRoot), collect };
}

async function onBucket(t: TestContext): Promise<(Adoption & { s3: S3Settings }) | undefined> {
  const s3 = await s3Settings(t, { prefix: 'images/' });
  if (s3 === undefined) return undefined;
  const distribution = await startDistribution(t, s3);
  if (distribution === undefined) return undefined;
  const at = await place(t, bucket(s3));
  const collect = async (now: number): Promise<void> => collectWith(at, await openS3Store(s3), now);
  return { at, distribution, folder: join(await bucketFolder(s3), 'images', treeRoot), collect, s3 };
}

async function collectWith(at: Place, store: Awaited<ReturnType<typeof openS3Store>>, now: number) {
  await using opened = new AsyncDisposableStack();
  opened.defer(() => store.close());
  const database = await openSqlite(join(at.data, 'berth.db'));
  opened.defer(() => database.close());
  const parts = collectionParts(database, store, 30 * day);
  await collectGarbage({ ...parts, clock: () => now, expireAfter: day, grace: day });
}

for (const [what, open] of [
  ['a directory', onDirectory],
  ['a bucket', onBucket],
] as const) {
  test(`adopts ${what} of distribution and serves it, without writing to one of its files`, async (t) => {
    const adoption = await open(t);
    if (adoption === undefined) return;
    const { at, distribution, folder, collect } = adoption;
    const pushes = await push(distribution.client);
    await distribution.stop();
    const before = await fileStates(folder);

    const refused = await berth('serve', '--config', at.file);
    assert.equal(refused.exitCode, 1);
    assert.match(refused.err, /contains the images of another registry: take them over with `berth adopt`/);
    assert.match(
      await succeed(at, 'adopt', '--dry-run'),
      /^would adopt 3 repositories, 7 manifests, 4 tags; /,
    );
    assert.match(
      await succeed(at, 'adopt'),
      /^adopted 3 repositories, 7 manifests, 4 tags; .*\n.*\n\d files of unf/,
    );
    await assertClean(at);

    const served = await at.serve();
    const client = clientOf(served.url);
    await assertServes(client, pushes);
    // A push of an image with an adopted layer.
    const { layer } = pushes;
    assert.equal((await client.head(`/v2/team/app/blobs/${layer.digest}`)).status, 200);
    const config = await client.pushContent('team/app', randomConfig(), ociConfig);
    const v2 = await client.pushManifest('team/app', imageOf(config, [layer]), 'v2');
    await served.stop();
    const unchanged = async () => {
      const after = await fileStates(folder);
      assert.deepEqual(new Map([...after].filter(([path]) => before.has(path))), before);
    };
    await unchanged();

    // Garbage collection deletes nothing for 30 days; then only blobs that no repository holds.
    await collect(Date.now() + 2 * day);
    await unchanged();
    await collect(Date.now() + 32 * day);
    await assertClean(at);
    const later = await at.serve();
    const manifests = new Map(pushes.manifests).set(`team/app@${v2.digest}`, v2);
    await clientOf(later.url).delete('/v2/team/app/manifests/v2');
    await assertServes(clientOf(later.url), { ...pushes, manifests });
  });
}

test('catches up with later pushes, and distribution still serves its tree', async (t) => {
  const adoption = await onDirectory(t);
  if (adoption === undefined) return;
  const { at, distribution } = adoption;
  await distribution.client.pushImage('app', 'latest');
  await succeed(at, 'adopt');
  const latest = await distribution.client.pushImage('app', 'latest');
  const out = await succeed(at, 'adopt');
  assert.match(out, /\nnew in this run: 1 manifest, 1 tag, 2 blobs of repositories\n/);
  const accept = { accept: latest.mediaType };
  assert.equal((await distribution.client.get('/v2/app/manifests/latest', accept)).status, 200);
  const served = await at.serve();
  assert.deepEqual((await clientOf(served.url).get('/v2/app/manifests/latest')).body, latest.bytes);
  // Beside the running server.
  const next = await distribution.client.pushImage('app', 'next');
  await succeed(at, 'adopt');
  assert.deepEqual((await clientOf(served.url).get('/v2/app/manifests/next')).body, next.bytes);
});

test('adopts what skopeo has pushed, into PostgreSQL', async (t) => {
  if (!needs(t, 'skopeo', 'postgres')) return;
  const data = await temporaryDirectory(t);
  const distribution = await startDistribution(t, data);
  if (distribution === undefined) return;
  const { host } = new URL(distribution.url);
  const directory = await temporaryDirectory(t);
  const image = await writeImageLayout(directory, 'hello');
  const first = await containersTools(t, host);
  const source = `oci:${image.layout}:latest`;
  await first.skopeo('copy', '--all', '--preserve-digests', source, `docker://${host}/app:latest`);
  await distribution.stop();
  const at = await place(t, database(await openTestPostgres(t)), data);
  await succeed(at, 'adopt');
  const served = await at.serve();
  const second = await containersTools(t, served.host);
  const back = join(directory, 'back');
  await second.skopeo(
    'copy',
    '--all',
    '--preserve-digests',
    `docker://${served.host}/app:latest`,
    `oci:${back}:latest`,
  );
  await assertClean(at);
});
