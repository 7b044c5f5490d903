import { Readable } from 'node:stream';
import { run } from '../../src/cli/program.ts';

export interface Ended {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command of `berth` in this process, to its end. */
export function berth(...args: string[]): Promise<Ended> {
  return berthReading([], ...args);
}

/** The same, with these parts on standard input. */
export async function berthReading(
  parts: readonly (string | Uint8Array)[],
  ...args: string[]
): Promise<Ended> {
  let out = '';
  let err = '';
  const exitCode = await run(args, {
    env: {},
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
  return { exitCode, out, err };
}
