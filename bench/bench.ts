// What every row works with: sizes, places, the load generator, and turns.
import { join } from 'node:path';
import type { Column, Line, Samples } from './line.ts';
import { run } from './process.ts';

export interface Seeded {
  readonly tags: number;
  readonly repositories: number;
}

export interface Sizes {
  readonly blobMib: number;
  readonly requestSeconds: number;
  readonly images: number;
  readonly fewTags: number;
  readonly manyTags: number;
  readonly repositories: number;
  readonly manifests: number;
  /** As many uploads and as many readers. */
  readonly held: number;
  readonly holdSeconds: number;
  /** Of each of the many figures of one row. */
  readonly briefSeconds: number;
  /** What is put into a database by SQL, for its size alone to count. */
  readonly seeded: Seeded;
  readonly seededFew: Seeded;
  readonly seededImages: number;
}

export const FULL: Sizes = {
  blobMib: 1024,
  requestSeconds: 5,
  images: 400,
  fewTags: 2000,
  manyTags: 100_000,
  repositories: 10_000,
  manifests: 100_000,
  held: 100,
  holdSeconds: 20,
  briefSeconds: 3,
  seeded: { tags: 1_000_000, repositories: 100_000 },
  seededFew: { tags: 2000, repositories: 1000 },
  seededImages: 20_000,
};

/** For working on the benchmark itself: every row runs, no figure means anything. */
export const QUICK: Sizes = {
  blobMib: 64,
  requestSeconds: 1,
  images: 40,
  fewTags: 200,
  manyTags: 2000,
  repositories: 200,
  manifests: 1000,
  held: 10,
  holdSeconds: 2,
  briefSeconds: 1,
  seeded: { tags: 10_000, repositories: 1000 },
  seededFew: { tags: 500, repositories: 300 },
  seededImages: 2000,
};

export interface Bench {
  readonly sizes: Sizes;
  readonly runs: number;
  /** Directories on a real disk and in memory. */
  readonly disk: string;
  readonly tmpfs: string;
  readonly signal: AbortSignal;
}

export interface Row {
  /** What `--only` takes. */
  readonly name: string;
  measure(bench: Bench): Promise<Line[]>;
}

const LOAD = join(import.meta.dirname, 'load.ts');
const LOAD_LIMIT_SECONDS = 300;
const SYNC_LIMIT_SECONDS = 120;

/** Runs the load generator in a process of its own: one core for it, one for the server. */
export async function load<Result>(
  bench: Bench,
  mode: string,
  url: string,
  ...args: readonly (string | number)[]
): Promise<Result> {
  const limits = { signal: bench.signal, seconds: LOAD_LIMIT_SECONDS };
  return JSON.parse(await run(process.execPath, [LOAD, mode, url, ...args.map(String)], limits));
}

export type Runs<Figures> = Partial<Record<Column, Figures[]>>;

/**
 * Measures each in turn, `bench.runs` times over, so that a slow minute of the machine falls on
 * all of them. Each begins with no writes of another still on their way to the disk.
 */
export async function inTurn<Measured extends { readonly name: Column }, Figures>(
  bench: Bench,
  all: readonly Measured[],
  measure: (one: Measured) => Promise<Figures>,
): Promise<Runs<Figures>> {
  const runs: Runs<Figures> = {};
  for (let turn = 0; turn < bench.runs; turn += 1) {
    for (const one of all) {
      await run('sync', [], { signal: bench.signal, seconds: SYNC_LIMIT_SECONDS });
      const figures = await measure(one);
      runs[one.name] ??= [];
      runs[one.name]!.push(figures);
    }
  }
  return runs;
}

/** One figure out of all that was measured in turn. */
export function samplesOf<Figures>(runs: Runs<Figures>, figure: (figures: Figures) => number): Samples {
  const entries = Object.entries(runs) as [Column, Figures[]][];
  return Object.fromEntries(entries.map(([name, all]) => [name, all.map(figure)]));
}
