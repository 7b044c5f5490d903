// What all rows share: sizes, directories, the load generator, and turns.
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
  /** The number of uploads, and also of readers. */
  readonly held: number;
  readonly holdSeconds: number;
  /** For each figure of a row that has many. */
  readonly briefSeconds: number;
  /** Rows inserted by SQL, for figures that depend only on their number. */
  readonly seeded: Seeded;
  readonly seededFew: Seeded;
  readonly seededImages: number;
  /** Collected beside a load. */
  readonly garbageBlobs: number;
  /** Not collected. */
  readonly storedBlobs: number;
  readonly adoptedImages: number;
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
  garbageBlobs: 100_000,
  storedBlobs: 1_000_000,
  adoptedImages: 5_000,
};

/** For work on the benchmark itself: every row runs, but its figures mean nothing. */
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
  garbageBlobs: 60_000,
  storedBlobs: 20_000,
  adoptedImages: 200,
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
  /** The name that `--only` accepts. */
  readonly name: string;
  measure(bench: Bench): Promise<Line[]>;
}

const LOAD = join(import.meta.dirname, 'load.ts');
const LOAD_LIMIT_SECONDS = 300;
const SYNC_LIMIT_SECONDS = 120;

/** Runs the load generator in its own process: one core for it, one for the server. */
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
 * Measures each in turn, `bench.runs` times, so that a slow minute of the machine affects all of
 * them. Syncs before each, so that no writes of another one are pending.
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

/** One figure of all runs, by column. */
export function samplesOf<Figures>(runs: Runs<Figures>, figure: (figures: Figures) => number): Samples {
  const entries = Object.entries(runs) as [Column, Figures[]][];
  return Object.fromEntries(entries.map(([name, all]) => [name, all.map(figure)]));
}
