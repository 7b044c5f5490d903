// A line of a table: the samples of each program or setting, and the target of the first one.
import { median } from './median.ts';
import type { PeerName } from './peers.ts';

/** A program, or Berth with a setting. */
export type Column =
  | PeerName
  | 'PostgreSQL'
  | 'SQLite'
  | 'S3 itself'
  | '1 replica'
  | '2 replicas'
  | '4 replicas'
  | '1 worker'
  | '2 workers'
  | 'with a token'
  | 'anonymous'
  | 'under a flood'
  | 'collecting'
  | 'scrubbing'
  | 'quiet';

/** The judged column and those that it is compared with; lines with the same columns share a table. */
export type Columns = readonly [subject: Column, ...others: Column[]];

export const PEER_COLUMNS: Columns = ['berth', 'docker-registry', 'nginx'];

/** How far a ratio may be below 1 and still count as the same, for the noise of the machine. */
const NOISE = 0.1;

export type Samples = Partial<Record<Column, readonly number[]>>;

export type Target =
  /** At least this many times as good as the other. */
  | { readonly kind: 'ratio'; readonly to: Column; readonly atLeast: number }
  /** As good as the same column in another line. */
  | { readonly kind: 'same'; readonly as: string; readonly samples: readonly number[] }
  | { readonly kind: 'limit'; readonly under: number };

export interface Line {
  /** By default Berth and its peers. */
  readonly columns?: Columns;
  readonly title: string;
  readonly unit: string;
  readonly better: 'higher' | 'lower';
  readonly samples: Samples;
  readonly target?: Target;
}

export function columnsOf(line: Line): Columns {
  return line.columns ?? PEER_COLUMNS;
}

/** The samples of the first column. */
function subject(line: Line): readonly number[] | undefined {
  return line.samples[columnsOf(line)[0]];
}

/** How many times as good the first column is; `undefined` if one of the two was not measured. */
export function ratio(line: Line, other: readonly number[] | undefined): number | undefined {
  const own = subject(line);
  if (own === undefined || other === undefined) return undefined;
  return line.better === 'higher' ? median(own) / median(other) : median(other) / median(own);
}

export function describeTarget(target: Target | undefined): string {
  switch (target?.kind) {
    case undefined:
      return '';
    case 'ratio':
      return `≥ ${target.atLeast} × ${target.to}${target.atLeast === 1 ? ' (± noise)' : ''}`;
    case 'same':
      return `= ${target.as} (± noise)`;
    case 'limit':
      return `< ${target.under}`;
  }
}

export function targetMet(line: Line): boolean | undefined {
  const { target, samples } = line;
  const own = subject(line);
  if (target === undefined || own === undefined) return undefined;
  if (target.kind === 'limit') return median(own) < target.under;
  const reached = ratio(line, target.kind === 'same' ? target.samples : samples[target.to]);
  const wanted = target.kind === 'same' ? 1 : target.atLeast;
  return reached === undefined ? undefined : reached >= (wanted === 1 ? 1 - NOISE : wanted);
}
