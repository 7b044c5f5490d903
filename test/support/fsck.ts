import type { Finding, Walked } from '../../src/core/fsck/walk.ts';
import { berth, berthIn, type Ended } from './berth.ts';

export interface Examination {
  readonly exitCode: number;
  readonly findings: readonly Finding[];
  readonly walked: Walked;
  /** Standard error, as in {@link Ended}. */
  readonly complaint: string;
}

/** Runs `berth fsck --json --read-data` on a data directory, in use or not. */
export function examine(data: string, ...flags: string[]): Promise<Examination> {
  return examineWith({}, '--data', data, ...flags);
}

/** Runs `berth fsck --json --read-data` with the settings of an environment. */
export async function examineWith(env: NodeJS.ProcessEnv, ...flags: string[]): Promise<Examination> {
  const { exitCode, out, err } = await berthIn(env, 'fsck', '--json', '--read-data', ...flags);
  const lines = out.split('\n').filter((line) => line !== '');
  const summary = JSON.parse(lines.pop() ?? '{}') as { walked: Walked };
  const findings = lines.map((line) => JSON.parse(line) as Finding);
  return { exitCode, findings, walked: summary.walked, complaint: err };
}

/** Runs `berth fsck`; returns its output and exit code. */
export function fsck(...args: string[]): Promise<Ended> {
  return berth('fsck', ...args);
}
