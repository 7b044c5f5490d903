import { nextTurnInTransaction } from './next-turn.ts';

/** Maximum rows of one statement: some milliseconds on SQLite, which runs on the event loop. */
export const sliceSize = 2_000;

/** Runs `run` for each slice of the list in sequence, yielding to the event loop in between; for transactions. */
export async function inSlices<T>(
  list: readonly T[],
  run: (slice: readonly T[]) => Promise<void>,
): Promise<void> {
  if (list.length <= sliceSize) return run(list);
  for (let start = 0; start < list.length; start += sliceSize) {
    if (start > 0) await nextTurnInTransaction();
    await run(list.slice(start, start + sliceSize));
  }
}

/** Repeats `run`, which processes up to {@link sliceSize} rows and returns their number, until no rows are left. */
export async function untilDone(run: () => Promise<number>): Promise<void> {
  while ((await run()) >= sliceSize) await nextTurnInTransaction();
}
