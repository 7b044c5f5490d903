import { setImmediate as nextTurn } from 'node:timers/promises';

/** CPU milliseconds of the main thread, in steps of up to 4 ms, independent of other load. */
function mainThread(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** CPU milliseconds of the main thread for `action`. */
export async function totalOf(action: () => Promise<unknown>): Promise<number> {
  const start = mainThread();
  await action();
  return mainThread() - start;
}

/** CPU milliseconds of the main thread in the longest turn of the event loop during `action`. */
export async function longestTurnOf(action: () => Promise<unknown>): Promise<number> {
  let [longest, start, done] = [0, mainThread(), false];
  const watching = (async () => {
    while (!done) {
      await nextTurn();
      const now = mainThread();
      longest = Math.max(longest, now - start);
      start = now;
    }
  })();
  await action();
  done = true;
  await watching;
  return longest;
}
