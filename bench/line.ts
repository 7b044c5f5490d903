// One measured thing: a line of the table, what each program reached, and what Berth should reach.
import { median } from './median.ts';
import type { PeerName } from './peers.ts';

/** How far a ratio may fall short and still count as the same, on a machine with other work. */
const NOISE = 0.1;

export type Samples = Partial<Record<PeerName, readonly number[]>>;

export type Target =
  /** Berth is at least this many times as good as the other. */
  | { readonly kind: 'ratio'; readonly to: Exclude<PeerName, 'berth'>; readonly atLeast: number }
  /** As good as Berth itself in another line. */
  | { readonly kind: 'same'; readonly as: string; readonly samples: readonly number[] }
  | { readonly kind: 'limit'; readonly under: number };

export interface Line {
  readonly title: string;
  readonly unit: string;
  readonly better: 'higher' | 'lower';
  readonly samples: Samples;
  readonly target?: Target;
}

/** How many times as good Berth is; absent when one of the two was not measured. */
export function ratio(line: Line, other: readonly number[] | undefined): number | undefined {
  const { berth } = line.samples;
  if (berth === undefined || other === undefined) return undefined;
  return line.better === 'higher' ? median(berth) / median(other) : median(other) / median(berth);
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
  if (target === undefined || samples.berth === undefined) return undefined;
  if (target.kind === 'limit') return median(samples.berth) < target.under;
  const reached = ratio(line, target.kind === 'same' ? target.samples : samples[target.to]);
  const wanted = target.kind === 'same' ? 1 : target.atLeast;
  return reached === undefined ? undefined : reached >= (wanted === 1 ? 1 - NOISE : wanted);
}
