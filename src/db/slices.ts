import { nextTurnInTransaction } from './next-turn.ts';

/** Maximum rows of one statement: some milliseconds on SQLite, which runs on the event loop. */
export const sliceSize = 2_000;

/** {@link sliceSize} for rows that are inserted, or moved in an index. */
export const writtenSliceSize = 500;

/** Runs `run` for each slice of the list in sequence, yielding to the event loop in between; for transactions. */
export async function inSlices<T>(
  list: readonly T[],
  run: (slice: readonly T[]) => Promise<unknown>,
  size = sliceSize,
): Promise<void> {
  for (let start = 0; start === 0 || start < list.length; start += size) {
    if (start > 0) await nextTurnInTransaction();
    await run(list.slice(start, start + size));
  }
}

/** Repeats `run`, which processes up to {@link sliceSize} rows and returns their number, until no rows are left. */
export async function untilDone(run: () => Promise<number>): Promise<void> {
  while ((await run()) >= sliceSize) await nextTurnInTransaction();
}
