// Compares the duration of two functions on a machine under load.

export interface Ratio {
  /** The longer time divided by the shorter one: 1 or more. */
  readonly ratio: number;
  /** Median microseconds of one call of each. */
  readonly times: readonly [number, number];
}

export interface RatioOptions {
  /** The allowed ratio: measuring ends once the ratio is well below it. */
  readonly bound: number;
  /** A clock in microseconds; by default wall time. */
  readonly clock?: () => number;
  /** Calls of each between readings of the clock: shorter than a time slice of the scheduler. */
  readonly batch?: number;
  /** Maximum number of rounds. */
  readonly rounds?: number;
}

/** CPU microseconds of this process in all threads, without waits. */
export function processTime(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/**
 * Runs both alternately, so that load slows both: the result is the median of the rounds' ratios. A disturbance affects only some
 * rounds, not the median.
 */
export async function timeRatio(
  pair: readonly [() => Promise<unknown>, () => Promise<unknown>],
  { bound, clock = () => performance.now() * 1_000, batch = 6, rounds = 400 }: RatioOptions,
): Promise<Ratio> {
  const one: number[] = [];
  const other: number[] = [];
  const ratios: number[] = [];
  const measure = async (run: () => Promise<unknown>): Promise<number> => {
    const start = clock();
    for (let i = 0; i < batch; i++) await run();
    return (clock() - start) / batch;
  };
  // Warm-up: compilation and caches must not count.
  for (const run of pair) await measure(run);
  for (let round = 1; ; round++) {
    const turns = round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const);
    const times = [0, 0];
    for (const turn of turns) times[turn] = await measure(pair[turn]);
    const [first, second] = times as [number, number];
    one.push(first);
    other.push(second);
    ratios.push(first / second);
    const middle = median(ratios);
    const ratio = Math.max(middle, 1 / middle);
    if (round < rounds && (round < 8 || ratio > 1 + (bound - 1) / 2)) continue;
    return { ratio, times: [median(one), median(other)] };
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}
