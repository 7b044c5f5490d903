// How much longer one of two things takes than the other, on a machine that may be busy with others.

export interface Ratio {
  /** Of the longer time to the shorter one: 1 or more. */
  readonly ratio: number;
  /** Microseconds that each takes once: the medians. */
  readonly times: readonly [number, number];
}

export interface RatioOptions {
  /** What the ratio should not exceed: measuring ends once it is well below that. */
  readonly bound: number;
  /** Microseconds gone by; by the clock on the wall where nothing is said. */
  readonly clock?: () => number;
  /** How often each runs between two looks at the clock: for less time than the system lets others run. */
  readonly batch?: number;
  /** Rounds of both at most. */
  readonly rounds?: number;
}

/** Microseconds that this process has computed, in all of its threads: what it waits for others does not count. */
export function processTime(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/**
 * Both take turns, so that what slows the machine slows both: the ratio is the median of those of the rounds. What comes between in a
 * round counts for or against either, and is in the median of neither for long.
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
  // What is compiled and cached first is no part of the answer.
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
