import { run } from '../../src/cli/program.ts';

export interface Ended {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command of `berth` in this process, to its end. */
export async function berth(...args: string[]): Promise<Ended> {
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
  });
  return { exitCode, out, err };
}
