import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from '../support/command.ts';
import { startCountingProxy } from '../support/counting-proxy.ts';
import { startDocker } from '../support/docker.ts';
import { headManifest } from '../support/head-manifest.ts';
import { ballastSize, writeImageLayout } from '../support/images.ts';
import { needs } from '../support/needs.ts';
import { startBerth } from '../support/process.ts';
import { hostArchitecture } from '../support/static-program.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

// Only containerd sends a blob as the body of one PUT, and rejects answers without Docker-Content-Digest.
test('containerd', async (t) => {
  if (!needs(t, 'ctr', 'dockerd')) return;
  const berth = await startBerth(t);
  const proxy = await startCountingProxy(t, berth.host);
  const { ctr } = await startDocker(t);
  const directory = await temporaryDirectory(t);
  const { layout, digest } = await writeImageLayout(directory, 'hello from containerd');
  const archive = join(directory, 'layout.tar');
  await run('tar', ['--create', '--file', archive, '--directory', layout, '.']);
  const name = `${proxy.host}/containerd/hello`;
  const image = `${name}:latest`;
  const remove = async () => {
    await ctr('images', 'remove', '--sync', image);
    assert.equal(await ctr('content', 'ls', '--quiet'), '');
  };
  // A log file, because ctr may miss the output of a container that ends at once.
  const runContainer = async (id: string) => {
    const log = join(directory, `${id}.log`);
    await ctr('run', '--rm', '--log-uri', `file://${log}`, image, id);
    return readFile(log, 'utf8');
  };

  await t.test('pushes every platform of an index', async () => {
    await ctr('images', 'import', '--all-platforms', '--no-unpack', '--base-name', name, archive);
    const push = await proxy.measure(() => ctr('images', 'push', '--plain-http', image));
    assert.ok(push.sent > 2 * ballastSize, `both images crossed: ${push.sent} bytes`);
    assert.equal((await headManifest(berth.url, 'containerd/hello', 'latest')).digest, digest);
  });

  await t.test("pulls its own platform's image and runs it", async () => {
    await remove();
    const pull = await proxy.measure(() => ctr('images', 'pull', '--plain-http', image));
    assert.ok(pull.received < 1.25 * ballastSize, `only ${hostArchitecture} crossed: ${pull.received} bytes`);
    assert.equal(await runContainer('pulled'), 'hello from containerd\n');
  });

  await t.test('resumes a pull after a cut connection', async () => {
    await remove();
    const wasCut = proxy.cutAfter(ballastSize / 2);
    const pull = await proxy.measure(() => ctr('images', 'pull', '--plain-http', image));
    assert.ok(wasCut());
    assert.ok(pull.received < 1.25 * ballastSize, `no byte was fetched twice: ${pull.received} bytes`);
    assert.equal(await runContainer('resumed'), 'hello from containerd\n');
  });
});
