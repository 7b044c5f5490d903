// Starts and stops a program on loopback, with its data in a temporary directory.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import http from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { temporaryDirectory } from './directory.ts';

export interface Program {
  /** The name of its log. */
  readonly name: string;
  readonly directory: string;
  readonly port: number;
  readonly command: string;
  readonly args: readonly string[];
  /** In addition to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** A path that answers 200 as soon as the program serves. */
  readonly probe: string;
}

export interface Running extends AsyncDisposable {
  readonly url: string;
  /** Holds its data, its configuration and its log. */
  readonly directory: string;
  readonly pid: number;
  /** Milliseconds from starting the program to its first answer. */
  readonly readyAfter: number;
}

const ROOT = join(import.meta.dirname, '..');
const READY_LIMIT_MS = 60_000;
const READY_POLL_MS = 2;
const STOP_LIMIT_MS = 15_000;

/** Starts a program on an empty directory under `parent`. Disposal stops the program and deletes the directory. */
export async function startFresh<Started extends AsyncDisposable>(
  start: (directory: string, signal: AbortSignal) => Promise<Started>,
  parent: string,
  signal: AbortSignal,
): Promise<Started> {
  await using stack = new AsyncDisposableStack();
  const directory = stack.use(await temporaryDirectory(parent));
  const started = stack.use(await start(directory.path, signal));
  const owned = stack.move();
  return { ...started, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

export async function launch(program: Program, signal: AbortSignal): Promise<Running> {
  signal.throwIfAborted();
  const { name, directory, command, args } = program;
  const logPath = join(directory, `${name}.log`);
  await using log = await open(logPath, 'a');
  const env = { ...process.env, ...program.env };
  const begin = performance.now();
  const child = spawn(command, args, { cwd: ROOT, env, stdio: ['ignore', log.fd, log.fd] });
  await once(child, 'spawn');
  const url = `http://127.0.0.1:${program.port}`;
  try {
    await answering(url + program.probe, child, signal);
  } catch (error) {
    await stop(child);
    throw new Error(`${name} did not start: ${await endOf(logPath)}`, { cause: error });
  }
  const readyAfter = performance.now() - begin;
  return {
    url,
    directory,
    pid: child.pid!,
    readyAfter,
    async [Symbol.asyncDispose]() {
      const end = child.exitCode ?? child.signalCode;
      if (end !== null) throw new Error(`${name} ended with ${end} by itself: ${await endOf(logPath)}`);
      await stop(child);
    },
  };
}

async function answering(probe: string, child: ChildProcess, signal: AbortSignal): Promise<void> {
  const limit = performance.now() + READY_LIMIT_MS;
  while (!(await answersOk(probe))) {
    if (child.exitCode !== null) throw new Error(`the program exited with ${child.exitCode}`);
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

async function endOf(logPath: string): Promise<string> {
  return (await readFile(logPath, 'utf8')).slice(-2000);
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const kill = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
  await exited;
  clearTimeout(kill);
}
