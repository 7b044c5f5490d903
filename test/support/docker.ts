import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Child, startChild } from './child.ts';
import { cleanUp } from './cleanup.ts';
import { run } from './command.ts';
import { sandboxed } from './sandbox.ts';
import { temporaryDirectory } from './temporary-directory.ts';

export interface DockerEngine {
  /** Runs `docker …` against this engine and returns its stdout. */
  docker(...args: string[]): Promise<string>;
  /** Runs `docker …` with `input` on its stdin. */
  dockerReading(input: string, ...args: string[]): Promise<string>;
  /** The file in which the client stores logins. */
  readonly clientConfig: string;
  /** Starts `docker …`; resolves once `ready` matches its output. */
  follow(ready: RegExp, ...args: string[]): Promise<Child>;
  /** Runs `ctr …` against the engine's containerd. */
  ctr(...args: string[]): Promise<string>;
}

/**
 * A Docker engine for the test, with its own data, sockets and containerd. Containers run with `--network none`; the
 * engine accepts registries on 127.0.0.0/8 without TLS by default.
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
  // dockerd is the first process of its namespace, so its containerd and all containers end with it, and so does `unshare`, which waits
  // for it. Killing `unshare` first would end dockerd too (--kill-child), but dockerd might then not be reaped.
  cleanUp(t, async () => {
    const engine = await readFile(`/proc/${parent.pid}/task/${parent.pid}/children`, 'utf8');
    process.kill(Number(engine), 'SIGKILL');
    await parent.exited;
  });

  // Debian does not package BuildKit's client; the engine's own builder suffices for these images.
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
