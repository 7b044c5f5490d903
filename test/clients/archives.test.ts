import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { berth as command } from '../support/berth.ts';
import { startDocker } from '../support/docker.ts';
import { headManifest } from '../support/head-manifest.ts';
import { writeBuildContext, writeImageLayout } from '../support/images.ts';
import { needs } from '../support/needs.ts';
import { containersTools } from '../support/podman.ts';
import { startBerth } from '../support/process.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

test('skopeo copies an exported layout to a registry, and its own archives are imported', async (t) => {
  if (!needs(t, 'skopeo')) return;
  const berth = await startBerth(t);
  const { skopeo } = await containersTools(t, berth.host);
  const directory = await temporaryDirectory(t);
  const image = await writeImageLayout(directory, 'hello from an archive');
  const remote = (name: string) => `docker://${berth.host}/${name}`;
  const run = async (...args: string[]) => {
    const { exitCode, err } = await command(...args, '--data', berth.data);
    assert.equal(exitCode, 0, err);
  };
  await skopeo('copy', '--all', '--preserve-digests', `oci:${image.layout}:latest`, remote('acme/app:v1'));

  const [layout, tar] = [join(directory, 'exported'), join(directory, 'exported.tar')];
  await run('export', 'acme/app', layout);
  await skopeo('copy', '--all', '--preserve-digests', `oci:${layout}:v1`, remote('acme/copied:v1'));
  assert.equal((await headManifest(berth.url, 'acme/copied', 'v1')).digest, image.digest);
  await run('export', 'acme/app:v1', tar);
  await skopeo('copy', '--all', '--preserve-digests', `oci-archive:${tar}:v1`, remote('acme/again:v1'));
  assert.equal((await headManifest(berth.url, 'acme/again', 'v1')).digest, image.digest);

  const archive = join(directory, 'oci-archive.tar');
  await skopeo('copy', '--all', '--preserve-digests', remote('acme/app:v1'), `oci-archive:${archive}:v2`);
  await run('import', archive, '--to', 'acme/imported');
  assert.equal((await headManifest(berth.url, 'acme/imported', 'v2')).digest, image.digest);

  const docker = join(directory, 'docker-archive.tar');
  await skopeo('copy', remote('acme/app:v1'), `docker-archive:${docker}:acme/docker:v3`);
  await run('import', docker);
  // skopeo checks each blob against the manifest.
  await skopeo('copy', remote('acme/docker:v3'), `dir:${join(directory, 'back')}`);
});

test('an image of docker save is imported, and docker runs it', async (t) => {
  if (!needs(t, 'docker', 'dockerd')) return;
  const berth = await startBerth(t);
  const { docker } = await startDocker(t);
  const directory = await temporaryDirectory(t);
  const context = join(directory, 'context');
  await writeBuildContext(context, 'saved and imported', { ballast: Buffer.from('ballast') });
  await docker('build', '--tag', 'acme/app:v1', context);
  const archive = join(directory, 'saved.tar');
  await docker('save', '--output', archive, 'acme/app:v1');
  const { exitCode, out, err } = await command('import', archive, '--json', '--data', berth.data);
  assert.equal(exitCode, 0, err);
  const [{ name, tags, blobs }] = JSON.parse(out);
  assert.deepEqual([name, tags, blobs], ['acme/app', 1, 3]);
  const image = `${berth.host}/acme/app:v1`;
  await docker('pull', image);
  assert.equal(await docker('run', '--rm', '--network', 'none', image), 'saved and imported\n');
});
