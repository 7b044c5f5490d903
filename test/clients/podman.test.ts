import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { startCountingProxy } from '../support/counting-proxy.ts';
import { headManifest } from '../support/head-manifest.ts';
import { ballastSize, makeBallast, smallTraffic, writeBuildContext } from '../support/images.ts';
import { needs } from '../support/needs.ts';
import { containersTools } from '../support/podman.ts';
import { startBerth } from '../support/process.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

test('podman and buildah', async (t) => {
  if (!needs(t, 'podman', 'buildah')) return;
  const berth = await startBerth(t);
  const proxy = await startCountingProxy(t, berth.host);
  const { podman, buildah } = await containersTools(t, proxy.host);
  const context = join(await temporaryDirectory(t), 'context');
  const build = async (image: string, message: string, ballast?: Buffer) => {
    await writeBuildContext(context, message, ballast ? { ballast } : {});
    await podman('build', '--tag', image, context);
  };
  const removeAll = async () => {
    await podman('image', 'rm', '--all', '--force');
    assert.equal(await podman('image', 'ls', '--quiet'), '');
  };
  const runContainer = (image: string) => podman('run', '--rm', '--pull', 'never', image);

  await t.test('podman pushes what it built, pulls it back and runs it', async () => {
    const image = `${proxy.host}/podman/hello:1`;
    await build(image, 'hello from podman', makeBallast());
    await podman('push', image);
    await removeAll();
    const pull = await proxy.measure(() => podman('pull', image));
    assert.ok(pull.received > ballastSize, `the layers came from the registry: ${pull.received} bytes`);
    assert.equal(await runContainer(image), 'hello from podman\n');
  });

  await t.test('podman sends only the layer that changed', async () => {
    const image = `${proxy.host}/podman/changed:1`;
    await build(image, 'before', makeBallast());
    await podman('push', image);
    await build(image, 'after');
    const push = await proxy.measure(() => podman('push', image));
    assert.ok(push.sent < smallTraffic, `the second push sent ${push.sent} bytes`);
    await removeAll();
    assert.equal(await podman('run', '--rm', image), 'after\n');
  });

  await t.test('podman pushes in the Docker format', async () => {
    const image = `${proxy.host}/podman/docker-format:1`;
    await build(image, 'in the older format', makeBallast());
    await podman('push', '--format', 'v2s2', image);
    const { mediaType } = await headManifest(berth.url, 'podman/docker-format', '1');
    assert.equal(mediaType, 'application/vnd.docker.distribution.manifest.v2+json');
    await removeAll();
    assert.equal(await podman('run', '--rm', image), 'in the older format\n');
  });

  await t.test('podman pushes a manifest list of two platforms', async () => {
    const image = `${proxy.host}/podman/list:1`;
    await podman('manifest', 'create', image);
    for (const architecture of ['amd64', 'arm64'] as const) {
      await writeBuildContext(context, 'one of two', { architecture, ballast: makeBallast() });
      await podman('build', '--platform', `linux/${architecture}`, '--manifest', image, context);
    }
    await podman('manifest', 'push', '--all', image, `docker://${image}`);
    await removeAll();
    assert.equal(await podman('run', '--rm', image), 'one of two\n');
  });

  await t.test('podman fetches from a zstd:chunked layer only the files that changed', async (t) => {
    const name = `${proxy.host}/podman/chunked`;
    const files = join(context, 'files');
    await writeBuildContext(context, 'in chunks');
    await mkdir(files);
    await writeFile(
      join(context, 'Dockerfile'),
      'FROM scratch\nCOPY files program /\nENTRYPOINT ["/program"]\n',
    );
    const write = async (...changed: string[]) => {
      for (const file of changed)
        await writeFile(join(files, file), makeBallast().subarray(0, ballastSize / 4));
    };
    await write('a', 'b', 'c', 'd', 'e');
    await podman('build', '--tag', `${name}:1`, context);
    await write('b', 'd');
    await podman('build', '--tag', `${name}:2`, context);
    for (const tag of ['1', '2'])
      await podman('push', '--compression-format', 'zstd:chunked', `${name}:${tag}`);

    const other = await containersTools(t, proxy.host);
    await other.podman('pull', `${name}:1`);
    const pull = await proxy.measure(() => other.podman('pull', `${name}:2`));
    // Two of the five files have changed, each a quarter of the ballast: two ranges of one request.
    assert.ok(pull.received < ballastSize * 0.6, `only the changed files crossed: ${pull.received} bytes`);
    assert.equal(await other.podman('run', '--rm', `${name}:2`), 'in chunks\n');
  });

  await t.test('buildah commits directly to the registry and builds on a pulled image', async () => {
    const base = `${proxy.host}/buildah/base:1`;
    const derived = `${proxy.host}/buildah/derived:1`;
    await writeBuildContext(context, 'hello from buildah', { ballast: makeBallast() });
    const working = (await buildah('from', 'scratch')).trim();
    await buildah('copy', working, join(context, 'ballast'), '/');
    await buildah('commit', '--rm', working, `docker://${base}`);
    await removeAll();
    const onTop = (await buildah('from', base)).trim();
    await buildah('copy', onTop, join(context, 'program'), '/');
    await buildah('config', '--entrypoint', '["/program"]', onTop);
    const push = await proxy.measure(() => buildah('commit', '--rm', onTop, `docker://${derived}`));
    assert.ok(push.sent < smallTraffic, `the base was there already: ${push.sent} bytes sent`);
    await removeAll();
    assert.equal(await podman('run', '--rm', derived), 'hello from buildah\n');
  });
});
