import { nextTurnInTransaction } from './next-turn.ts';

/** Rows that one statement touches at most: some milliseconds on SQLite, which runs on the event loop. */
export const sliceSize = 2_000;

/** Runs `run` for each part of the list, one after another, with turns of the event loop between them; for transactions. */
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

/** Runs `run`, which touches {@link sliceSize} rows as long as there are as many and says how many they were, until none is left. */
export async function untilDone(run: () => Promise<number>): Promise<void> {
  while ((await run()) >= sliceSize) await nextTurnInTransaction();
}
