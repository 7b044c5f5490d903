import { setImmediate as nextTurn } from 'node:timers/promises';

/** Milliseconds of the main thread, whatever else the machine does; the system counts them in steps of up to four. */
function mainThread(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** Milliseconds of the main thread that `action` takes in all. */
export async function totalOf(action: () => Promise<unknown>): Promise<number> {
  const start = mainThread();
  await action();
  return mainThread() - start;
}

/** Milliseconds of the main thread in the longest turn of the event loop while `action` runs. */
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
