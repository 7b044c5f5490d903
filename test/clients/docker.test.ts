import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { startCountingProxy } from '../support/counting-proxy.ts';
import { startDocker } from '../support/docker.ts';
import { ballastSize, makeBallast, smallTraffic, writeBuildContext } from '../support/images.ts';
import { needs } from '../support/needs.ts';
import { startBerth } from '../support/process.ts';
import { hostArchitecture } from '../support/static-program.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

test('a Docker engine', async (t) => {
  if (!needs(t, 'docker', 'dockerd')) return;
  const berth = await startBerth(t);
  const proxy = await startCountingProxy(t, berth.host);
  const { docker } = await startDocker(t);
  const context = join(await temporaryDirectory(t), 'context');
  const build = async (image: string, message: string, ballast?: Buffer) => {
    await writeBuildContext(context, message, ballast ? { ballast } : {});
    await docker('build', '--quiet', '--tag', image, context);
  };
  const removeAll = async () => {
    await docker('image', 'prune', '--all', '--force');
    assert.equal(await docker('image', 'ls', '--quiet'), '');
  };
  const runContainer = (image: string) =>
    docker('run', '--rm', '--pull', 'never', '--network', 'none', image);

  await t.test('pushes what it built, pulls it back and runs it', async () => {
    const image = `${proxy.host}/docker/hello:1`;
    await build(image, 'hello from scratch', makeBallast());
    await docker('push', image);
    await removeAll();
    const pull = await proxy.measure(() => docker('pull', image));
    assert.ok(pull.received > ballastSize, `the layers came from the registry: ${pull.received} bytes`);
    assert.equal(await runContainer(image), 'hello from scratch\n');
  });

  await t.test('runs what another engine pushed', async (t) => {
    const image = `${proxy.host}/docker/shared:1`;
    await build(image, 'hello from the other engine', makeBallast());
    await docker('push', image);
    const other = await startDocker(t);
    await other.docker('pull', image);
    assert.equal(
      await other.docker('run', '--rm', '--network', 'none', image),
      'hello from the other engine\n',
    );
  });

  await t.test('sends only the layer that changed', async () => {
    const image = `${proxy.host}/docker/changed:1`;
    await build(image, 'before', makeBallast());
    const first = await proxy.measure(() => docker('push', image));
    assert.ok(first.sent > ballastSize, `the first push sent everything: ${first.sent} bytes`);
    await build(image, 'after');
    let output = '';
    const second = await proxy.measure(async () => {
      output = await docker('push', image);
    });
    assert.match(output, /: Layer already exists\n/);
    assert.ok(second.sent < smallTraffic, `the second push sent ${second.sent} bytes`);
    await removeAll();
    await docker('pull', image);
    assert.equal(await runContainer(image), 'after\n');
  });

  await t.test('mounts the layers into a second repository', async () => {
    const image = `${proxy.host}/docker/source:1`;
    const copy = `${proxy.host}/docker/copy:1`;
    await build(image, 'mounted', makeBallast());
    await docker('push', image);
    await docker('tag', image, copy);
    let output = '';
    const push = await proxy.measure(async () => {
      output = await docker('push', copy);
    });
    assert.equal(output.match(/: Mounted from docker\/source\n/g)?.length, 2, output);
    assert.ok(push.sent < smallTraffic, `the push sent ${push.sent} bytes`);
    await removeAll();
    await docker('pull', copy);
    assert.equal(await runContainer(copy), 'mounted\n');
  });

  await t.test('pulls by digest', async () => {
    const image = `${proxy.host}/docker/pinned`;
    await build(`${image}:1`, 'pinned', makeBallast());
    const digest = /digest: (sha256:\w+)/.exec(await docker('push', `${image}:1`))?.[1];
    await build(`${image}:1`, 'moved on');
    await docker('push', `${image}:1`);
    await removeAll();
    await docker('pull', `${image}@${digest}`);
    assert.equal(await runContainer(`${image}@${digest}`), 'pinned\n');
  });

  await t.test('pushes all tags of a repository at once', async () => {
    const image = `${proxy.host}/docker/tags`;
    await build(`${image}:a`, 'tagged', makeBallast());
    await docker('tag', `${image}:a`, `${image}:b`);
    await docker('push', '--all-tags', image);
    const list = await fetch(`${berth.url}/v2/docker/tags/tags/list`);
    assert.deepEqual(await list.json(), { name: 'docker/tags', tags: ['a', 'b'] });
    await removeAll();
    await docker('pull', '--all-tags', image);
    assert.equal(await runContainer(`${image}:b`), 'tagged\n');
  });

  await t.test('pushes an index and pulls from it by platform', async () => {
    const name = `${proxy.host}/docker/index`;
    for (const architecture of ['amd64', 'arm64'] as const) {
      const image = `${name}:${architecture}`;
      await writeBuildContext(context, `built for ${architecture}`, { architecture, ballast: makeBallast() });
      await docker('build', '--quiet', '--platform', `linux/${architecture}`, '--tag', image, context);
      await docker('push', image);
    }
    await docker('manifest', 'create', '--insecure', `${name}:1`, `${name}:amd64`, `${name}:arm64`);
    await docker('manifest', 'annotate', `${name}:1`, `${name}:arm64`, '--arch', 'arm64', '--variant', 'v8');
    await docker('manifest', 'push', '--insecure', `${name}:1`);
    const other = hostArchitecture === 'amd64' ? 'arm64' : 'amd64';
    await removeAll();
    await docker('pull', `${name}:1`);
    assert.equal(await runContainer(`${name}:1`), `built for ${hostArchitecture}\n`);
    await removeAll();
    await docker('pull', '--platform', `linux/${other}`, `${name}:1`);
    const pulled = await docker('image', 'inspect', '--format', '{{.Architecture}}', `${name}:1`);
    assert.equal(pulled.trim(), other);
  });

  await t.test('resumes a pull after a cut connection', async () => {
    const image = `${proxy.host}/docker/interrupted:1`;
    await build(image, 'whole again', makeBallast());
    await docker('push', image);
    await removeAll();
    const wasCut = proxy.cutAfter(ballastSize / 2);
    const pull = await proxy.measure(() => docker('pull', image));
    assert.ok(wasCut());
    assert.ok(pull.received < ballastSize * 1.25, `no byte was fetched twice: ${pull.received} bytes`);
    assert.equal(await runContainer(image), 'whole again\n');
  });
});
