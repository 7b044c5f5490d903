import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Child, startChild } from './child.ts';
import { run } from './command.ts';
import { writeMigratedSqlite } from './sqlite-template.ts';
import { temporaryDirectory } from './temporary-directory.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** Berth in a separate process, on a free port of 127.0.0.1. */
export interface BerthProcess extends Child {
  /** `http://127.0.0.1:PORT`, without a slash at the end. */
  readonly url: string;
  /** `127.0.0.1:PORT`, for image names. */
  readonly host: string;
  readonly data: string;
}

export interface BerthOptions {
  /** The data directory, to reuse another process's; by default a new one, deleted after the test. */
  readonly data?: string;
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

export async function startBerth(t: TestContext, options: BerthOptions = {}): Promise<BerthProcess> {
  const data = options.data ?? (await migratedData(t));
  const flags = ['--listen', '127.0.0.1:0', '--data', data, '--log-format', 'json', ...(options.args ?? [])];
  const child = await startChild(t, {
    command: process.execPath,
    args: [main, 'serve', ...flags],
    env: { ...withoutBerthSettings(process.env), ...options.env },
    ready: /listening on (http:\/\/[\d.]+:\d+)/,
  });
  const url = child.ready[1]!;
  return { ...child, url, host: new URL(url).host, data };
}

/** A data directory whose database is migrated, so that its server starts sooner. */
async function migratedData(t: TestContext): Promise<string> {
  const data = await temporaryDirectory(t, 'berth-data');
  await writeMigratedSqlite(join(data, 'berth.db'));
  return data;
}

/** Runs `berth …` to its end in a separate process, on data that may be in use; returns its stdout. */
export function runBerth(data: string, args: readonly string[], input?: string): Promise<string> {
  const options = { env: withoutBerthSettings(process.env), ...(input !== undefined && { input }) };
  return run(process.execPath, [main, ...args, '--data', data], options);
}

/** The environment without settings of the developer's own Berth. */
function withoutBerthSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('BERTH_')));
}
