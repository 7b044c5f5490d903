// The programs that are measured: how each is configured and started.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../test/support/free-port.ts';
import { launch, type Program, type Running } from './launch.ts';

export type PeerName = 'berth' | 'docker-registry' | 'nginx';

export interface Peer extends Running {
  readonly name: PeerName;
}

export type StartPeer = (directory: string, signal: AbortSignal) => Promise<Peer>;

export function berthArguments(directory: string, port: number | string): string[] {
  const listen = ['--listen', `127.0.0.1:${port}`];
  return ['src/main.ts', 'serve', ...listen, '--data', join(directory, 'data'), '--log-format', 'json'];
}

export function dockerRegistryConfig(directory: string, port: number | string): string {
  return `version: 0.1
storage:
  filesystem:
    rootdirectory: ${join(directory, 'data')}
  delete:
    enabled: true
http:
  addr: 127.0.0.1:${port}
`;
}

/** Serves `directory` itself, so that a file written there by the test is one URL. */
export function nginxConfig(directory: string, port: number | string): string {
  // `user`: if root starts nginx, the worker would otherwise run as a user who may not read a temporary directory.
  return `user root;
daemon off;
worker_processes 1;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log;
events { worker_connections 768; }
http {
  sendfile on;
  tcp_nopush on;
  default_type application/octet-stream;
  access_log ${directory}/access.log;
  server { listen 127.0.0.1:${port}; root ${directory}; }
}
`;
}

/** Settings of Berth other than its defaults: flags of `berth serve` and environment variables. */
export interface BerthSettings {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A path that answers 200 as soon as Berth serves; `/v2/` does so if no login is required. */
  readonly probe?: string;
}

export function berthWith({ args = [], env = {}, probe = '/v2/' }: BerthSettings): StartPeer {
  return async (directory, signal) => {
    const port = await freePort();
    const command = process.execPath;
    const all = [...berthArguments(directory, port), ...args];
    return startPeer({ name: 'berth', directory, port, command, args: all, env, probe }, signal);
  };
}

export const startBerth: StartPeer = berthWith({});

export const startDockerRegistry: StartPeer = async (directory, signal) => {
  const port = await freePort();
  const config = join(directory, 'config.yml');
  await writeFile(config, dockerRegistryConfig(directory, port));
  const [name, args] = ['docker-registry', ['serve', config]] as const;
  return startPeer({ name, directory, port, command: name, args, probe: '/v2/' }, signal);
};

export const startNginx: StartPeer = async (directory, signal) => {
  const port = await freePort();
  const config = join(directory, 'nginx.conf');
  await writeFile(config, nginxConfig(directory, port));
  const [name, args] = ['nginx', ['-c', config]] as const;
  return startPeer({ name, directory, port, command: name, args, probe: '/nginx.conf' }, signal);
};

/** The registries, Berth first. */
export const REGISTRIES = [
  { name: 'berth', start: startBerth },
  { name: 'docker-registry', start: startDockerRegistry },
] as const;

async function startPeer(program: Program & { name: PeerName }, signal: AbortSignal): Promise<Peer> {
  return { name: program.name, ...(await launch(program, signal)) };
}
