import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { headManifest } from '../support/head-manifest.ts';
import { writeImageLayout } from '../support/images.ts';
import { needs } from '../support/needs.ts';
import { containersTools } from '../support/podman.ts';
import { startBerth } from '../support/process.ts';
import { hostArchitecture } from '../support/static-program.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

test('skopeo', async (t) => {
  if (!needs(t, 'skopeo')) return;
  const berth = await startBerth(t);
  const { skopeo } = await containersTools(t, berth.host);
  const directory = await temporaryDirectory(t);
  const image = await writeImageLayout(directory, 'hello from skopeo');
  const source = `oci:${image.layout}:latest`;
  const remote = (name: string) => `docker://${berth.host}/skopeo/${name}`;
  const blobsOf = async (layout: string) => (await readdir(join(layout, 'blobs/sha256'))).sort();

  await t.test('copies an index with its images to the registry and back, byte by byte', async () => {
    await skopeo('copy', '--all', '--preserve-digests', source, remote('index:1'));
    assert.equal((await headManifest(berth.url, 'skopeo/index', '1')).digest, image.digest);
    const back = join(directory, 'back');
    await skopeo('copy', '--all', '--preserve-digests', remote('index:1'), `oci:${back}:latest`);
    assert.deepEqual(await blobsOf(back), await blobsOf(image.layout));
  });

  for (const [format, mediaType] of [
    ['oci', 'application/vnd.oci.image.manifest.v1+json'],
    ['v2s2', 'application/vnd.docker.distribution.manifest.v2+json'],
  ] as const) {
    await t.test(`copies one image to the registry and back as ${format}`, async () => {
      await skopeo('copy', '--format', format, source, remote(`${format}:1`));
      assert.equal((await headManifest(berth.url, `skopeo/${format}`, '1')).mediaType, mediaType);
      const back = join(directory, format);
      await skopeo('copy', remote(`${format}:1`), `dir:${back}`);
      const manifest = JSON.parse(await readFile(join(back, 'manifest.json'), 'utf8'));
      assert.equal(manifest.mediaType, mediaType);
      // skopeo checks each blob against the manifest; this checks that they are the blobs of the source.
      const original = JSON.parse(await skopeo('inspect', source));
      assert.deepEqual(
        manifest.layers.map((layer: { digest: string }) => layer.digest),
        original.Layers,
      );
    });
  }

  await t.test('copies by digest, to a digest and from it', async () => {
    const digest = image.manifests[hostArchitecture];
    await skopeo('copy', source, remote(`digest@${digest}`));
    assert.equal((await headManifest(berth.url, 'skopeo/digest', digest)).status, 200);
    const back = join(directory, 'by-digest');
    await skopeo('copy', remote(`digest@${digest}`), `oci:${back}:latest`);
    const index = JSON.parse(await readFile(join(back, 'index.json'), 'utf8'));
    assert.equal(index.manifests[0].digest, digest);
  });

  await t.test('lists tags and inspects', async () => {
    for (const tag of ['b', 'a', '1.0']) await skopeo('copy', source, remote(`tags:${tag}`));
    const list = JSON.parse(await skopeo('list-tags', remote('tags')));
    assert.deepEqual(list, { Repository: `${berth.host}/skopeo/tags`, Tags: ['1.0', 'a', 'b'] });
    const inspected = JSON.parse(await skopeo('inspect', remote('tags:a')));
    assert.equal(inspected.Digest, image.manifests[hostArchitecture]);
    assert.equal(inspected.Architecture, hostArchitecture);
    assert.deepEqual(inspected.RepoTags, ['1.0', 'a', 'b']);
  });

  await t.test('deletes', async () => {
    await skopeo('copy', source, remote('deleted:1'));
    const digest = image.manifests[hostArchitecture];
    await skopeo('delete', remote('deleted:1'));
    for (const reference of ['1', digest]) {
      assert.equal((await headManifest(berth.url, 'skopeo/deleted', reference)).status, 404);
    }
    await assert.rejects(skopeo('inspect', remote('deleted:1')), /manifest unknown|name unknown/i);
  });

  await t.test('syncs all tags of a repository into another', async () => {
    for (const tag of ['1', '2']) await skopeo('copy', '--all', source, remote(`synced:${tag}`));
    const [from, to] = [`${berth.host}/skopeo/synced`, `${berth.host}/mirror`];
    await skopeo('sync', '--all', '--src', 'docker', '--dest', 'docker', from, to);
    for (const tag of ['1', '2']) {
      assert.equal((await headManifest(berth.url, 'mirror/synced', tag)).digest, image.digest);
    }
  });
});
