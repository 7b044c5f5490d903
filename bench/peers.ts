// Starts and stops the programs that are measured, each on loopback with its data in a directory of ours.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { temporaryDirectory } from './directory.ts';

export type PeerName = 'berth' | 'docker-registry' | 'nginx';

export interface Peer extends AsyncDisposable {
  readonly name: PeerName;
  readonly url: string;
  /** Holds its data, its configuration and its log. */
  readonly directory: string;
  readonly pid: number;
  /** Milliseconds from starting the program to its first answer. */
  readonly readyAfter: number;
}

export type StartPeer = (directory: string, signal: AbortSignal) => Promise<Peer>;

const ROOT = join(import.meta.dirname, '..');
const READY_LIMIT_MS = 60_000;
const READY_POLL_MS = 2;
const STOP_LIMIT_MS = 15_000;

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
  // `user`: started by root, the worker would otherwise be somebody who may not read a temporary directory.
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

export const startBerth: StartPeer = async (directory, signal) => {
  const port = await freePort();
  const args = berthArguments(directory, port);
  return launch({ name: 'berth', directory, port, command: process.execPath, args, probe: '/v2/' }, signal);
};

export const startDockerRegistry: StartPeer = async (directory, signal) => {
  const port = await freePort();
  const config = join(directory, 'config.yml');
  await writeFile(config, dockerRegistryConfig(directory, port));
  const [name, args] = ['docker-registry', ['serve', config]] as const;
  return launch({ name, directory, port, command: name, args, probe: '/v2/' }, signal);
};

export const startNginx: StartPeer = async (directory, signal) => {
  const port = await freePort();
  const config = join(directory, 'nginx.conf');
  await writeFile(config, nginxConfig(directory, port));
  const [name, args] = ['nginx', ['-c', config]] as const;
  return launch({ name, directory, port, command: name, args, probe: '/nginx.conf' }, signal);
};

/** What does the same work as Berth, Berth first. */
export const REGISTRIES = [
  { name: 'berth', start: startBerth },
  { name: 'docker-registry', start: startDockerRegistry },
] as const;

/** Starts a peer on an empty directory under `parent`, which goes when the peer does. */
export async function startFresh(start: StartPeer, parent: string, signal: AbortSignal): Promise<Peer> {
  await using stack = new AsyncDisposableStack();
  const directory = stack.use(await temporaryDirectory(parent));
  const peer = stack.use(await start(directory.path, signal));
  const owned = stack.move();
  return { ...peer, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

interface Program {
  readonly name: PeerName;
  readonly directory: string;
  readonly port: number;
  readonly command: string;
  readonly args: readonly string[];
  /** A path that answers 200 as soon as the program serves. */
  readonly probe: string;
}

async function launch(program: Program, signal: AbortSignal): Promise<Peer> {
  signal.throwIfAborted();
  const { name, directory } = program;
  const logPath = join(directory, `${name}.log`);
  await using log = await open(logPath, 'a');
  const begin = performance.now();
  const child = spawn(program.command, program.args, { cwd: ROOT, stdio: ['ignore', log.fd, log.fd] });
  await once(child, 'spawn');
  const url = `http://127.0.0.1:${program.port}`;
  try {
    await answering(url + program.probe, child, signal);
  } catch (error) {
    await stop(child);
    throw new Error(`${name} did not start: ${(await readFile(logPath, 'utf8')).slice(-2000)}`, {
      cause: error,
    });
  }
  const readyAfter = performance.now() - begin;
  return { name, url, directory, pid: child.pid!, readyAfter, [Symbol.asyncDispose]: () => stop(child) };
}

async function answering(probe: string, child: ChildProcess, signal: AbortSignal): Promise<void> {
  const limit = performance.now() + READY_LIMIT_MS;
  while (!(await answersOk(probe))) {
    if (child.exitCode !== null) throw new Error(`it exited with ${child.exitCode}`);
    if (performance.now() > limit) throw new Error(`no answer within ${READY_LIMIT_MS} ms`);
    await delay(READY_POLL_MS, undefined, { signal });
  }
}

function answersOk(url: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const request = http.get(url, { agent: false }, (response) => {
    response.resume();
    resolve(response.statusCode === 200);
  });
  request.on('error', () => resolve(false));
  return promise;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const kill = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
  await exited;
  clearTimeout(kill);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
