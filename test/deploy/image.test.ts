// The Dockerfile, built by Docker and buildah on a base image of this machine's own files.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { writeBaseContext } from '../support/base-image.ts';
import { run } from '../support/command.ts';
import { startDocker } from '../support/docker.ts';
import { makeBallast, writeBuildContext } from '../support/images.ts';
import { needs } from '../support/needs.ts';
import { containersTools } from '../support/podman.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const buildArguments = [
  '--network',
  'host',
  '--build-arg',
  'NODE_IMAGE=localhost/base',
  '--tag',
  'localhost/berth',
  root,
];
/** The strictest confinement in which the image has to run. */
const confined = ['--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges'];
const listening = /listening on (http:[^"]+)/;
const megabyte = 1_000_000;

test('the image, built and run by Docker', async (t) => {
  if (!needs(t, 'docker', 'dockerd') || !(await needsNpmRegistry(t))) return;
  const { docker, follow } = await startDocker(t);
  const contexts = await temporaryDirectory(t);
  await writeBaseContext(join(contexts, 'base'));
  await docker('build', '--quiet', '--tag', 'localhost/base', join(contexts, 'base'));
  await docker('build', '--quiet', ...buildArguments);

  await t.test('contains only Node and Berth', async () => {
    const [image] = JSON.parse(await docker('image', 'inspect', 'localhost/berth'));
    assert.equal(image.Config.User, '10001:10001');
    assert.equal(image.Config.Labels['org.opencontainers.image.licenses'], 'Apache-2.0');
    assert.ok(image.Size < 200 * megabyte, `${image.Size} bytes`);
    const shell = docker('run', '--rm', '--network', 'none', '--entrypoint', 'sh', 'localhost/berth');
    await assert.rejects(shell, /"sh": executable file not found/);
  });

  await t.test('accepts logins of the administrator whose password it prints', async () => {
    const started = await follow(listening, 'run', ...confined, '--network', 'none', 'localhost/berth');
    assert.match(started.output(), /user name: admin/);
  });

  await t.test(
    'becomes healthy without privileges and with a read-only file system except for its data',
    async () => {
      const quick = ['--health-interval', '1s', '--health-start-period', '0s'];
      const settings = ['--network', 'none', '--env', 'BERTH_ANONYMOUS=push'];
      await follow(listening, 'run', ...confined, ...quick, ...settings, 'localhost/berth');
      await follow(/health_status: healthy/, 'events', '--since', '1h', '--filter', 'event=health_status');
    },
  );

  await t.test('stops on request, and a new container has the pushed data', async () => {
    const settings = [
      'BERTH_ANONYMOUS=push',
      'BERTH_WORKERS=2',
      'BERTH_LISTEN=127.0.0.1:0',
      'BERTH_OPERATIONS_LISTEN=127.0.0.1:0',
    ];
    const environment = settings.flatMap((setting) => ['--env', setting]);
    const place = ['--network', 'host', '--volume', 'kept:/data'];
    const start = async () => {
      const berth = await follow(listening, 'run', ...confined, ...place, ...environment, 'localhost/berth');
      return { berth, image: `${new URL(berth.ready[1]!).host}/hello` };
    };

    const first = await start();
    await writeBuildContext(join(contexts, 'hello'), 'hello', { ballast: makeBallast() });
    await docker('build', '--quiet', '--tag', first.image, join(contexts, 'hello'));
    await docker('push', first.image);
    await docker('image', 'rm', '--force', first.image);
    const signalled = performance.now();
    assert.deepEqual(await first.berth.stop('SIGTERM'), { code: 0, signal: null });
    assert.ok(performance.now() - signalled < 5000);

    const { image } = await start();
    await docker('pull', image);
    assert.equal(await docker('run', '--rm', '--network', 'none', image), 'hello\n');
  });
});

test('the image, built by buildah and run by podman', async (t) => {
  if (!needs(t, 'buildah', 'podman') || !(await needsNpmRegistry(t))) return;
  const { buildah, podman } = await containersTools(t, '127.0.0.1');
  const base = join(await temporaryDirectory(t), 'base');
  await writeBaseContext(base);
  const build = ['build', '--isolation', 'chroot', '--format', 'docker'];
  await buildah(...build, '--tag', 'localhost/base', base);
  await buildah(...build, '--pull-never', ...buildArguments);
  const version = await podman('run', '--rm', ...confined, 'localhost/berth', '--version');
  assert.match(version, /^\d+\.\d+\.\d+\n$/);
});

/** `npm ci` is a step of the build. */
async function needsNpmRegistry(t: TestContext): Promise<boolean> {
  try {
    await run('npm', ['ping', '--fetch-retries', '0']);
    return true;
  } catch {
    t.skip("npm's registry cannot be reached");
    return false;
  }
}
