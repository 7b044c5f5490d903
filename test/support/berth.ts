import { join } from 'node:path';
import { Readable } from 'node:stream';
import { run } from '../../src/cli/program.ts';
import { writeMigratedSqlite } from './sqlite-template.ts';

export interface Ended {
  readonly exitCode: number;
  readonly out: string;
  /** Standard error without the first line, in which commands name the registry. */
  readonly err: string;
}

/** Creates an empty registry, for commands without a running server. */
export async function makeRegistry(data: string): Promise<void> {
  await writeMigratedSqlite(join(data, 'berth.db'));
}

/** Runs a `berth` command in this process to its end. */
export function berth(...args: string[]): Promise<Ended> {
  return runWith({}, [], args);
}

/** {@link berth} with these chunks on standard input. */
export function berthReading(parts: readonly (string | Uint8Array)[], ...args: string[]): Promise<Ended> {
  return runWith({}, parts, args);
}

/** {@link berth} with this environment. */
export function berthIn(env: NodeJS.ProcessEnv, ...args: string[]): Promise<Ended> {
  return runWith(env, [], args);
}

async function runWith(
  env: NodeJS.ProcessEnv,
  parts: readonly (string | Uint8Array)[],
  args: readonly string[],
): Promise<Ended> {
  let out = '';
  let err = '';
  const exitCode = await run(args, {
    env,
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    input: Readable.from(
      parts.map((part) => Buffer.from(part as Uint8Array)),
      { objectMode: false },
    ),
  });
  return { exitCode, out, err: err.replace(/^registry: .*\n/, '') };
}
