import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Child, startChild } from './child.ts';
import { cleanUp } from './cleanup.ts';
import { run } from './command.ts';
import { sandboxed } from './sandbox.ts';
import { temporaryDirectory } from './temporary-directory.ts';

export interface DockerEngine {
  /** Runs `docker …` against this engine and gives its stdout. */
  docker(...args: string[]): Promise<string>;
  /** The same, with `input` on its stdin. */
  dockerReading(input: string, ...args: string[]): Promise<string>;
  /** Where the client keeps its logins. */
  readonly clientConfig: string;
  /** Runs `docker …` beside the test, once `ready` has matched its output. */
  follow(ready: RegExp, ...args: string[]): Promise<Child>;
  /** Runs `ctr …` against the engine's containerd. */
  ctr(...args: string[]): Promise<string>;
}

/**
 * A Docker engine of the test's own: its data, its sockets, its containerd. Containers run with `--network none`; the
 * engine trusts registries on 127.0.0.0/8 without TLS by itself.
 */
export async function startDocker(t: TestContext): Promise<DockerEngine> {
  const directory = await temporaryDirectory(t, 'berth-docker');
  const socket = join(directory, 'docker.sock');
  const execRoot = join(directory, 'exec');
  const config = join(directory, 'daemon.json');
  await writeFile(config, '{}');
  const network = ['--bridge=none', '--iptables=false', '--ip6tables=false'];
  const places = ['--config-file', config, '--data-root', join(directory, 'data'), '--exec-root', execRoot];
  const dockerd = [
    'dockerd',
    ...places,
    '--pidfile',
    join(directory, 'pid'),
    '--host',
    `unix://${socket}`,
    ...network,
  ];
  const [unshare, ...rest] = sandboxed(directory, ['/run', '/etc/docker'], dockerd);
  const parent = await startChild(t, {
    command: unshare!,
    args: ['--pid', '--fork', '--kill-child', '--mount-proc', ...rest],
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
    ready: /API listen on/,
  });
  // dockerd is the first process of its namespace: with it end its containerd and every container. `unshare` waits for
  // it and then ends by itself; were it killed first (then --kill-child ends dockerd), nobody might collect dockerd.
  cleanUp(t, async () => {
    const engine = await readFile(`/proc/${parent.pid}/task/${parent.pid}/children`, 'utf8');
    process.kill(Number(engine), 'SIGKILL');
    await parent.exited;
  });

  // BuildKit's client is a plugin that Debian does not have; the engine's own builder does the same for these images.
  const client = { HOME: directory, DOCKER_HOST: `unix://${socket}`, DOCKER_BUILDKIT: '0' };
  const clientFolder = join(directory, 'client');
  const env = { ...process.env, DOCKER_CONFIG: clientFolder, ...client };
  const containerd = join(execRoot, 'containerd/containerd.sock');
  return {
    clientConfig: join(clientFolder, 'config.json'),
    docker: (...args) => run('docker', args, { env }),
    dockerReading: (input, ...args) => run('docker', args, { env, input }),
    follow: (ready, ...args) => startChild(t, { command: 'docker', args, env, ready }),
    ctr: (...args) => run('ctr', ['--address', containerd, '--namespace', 'berth', ...args]),
  };
}
