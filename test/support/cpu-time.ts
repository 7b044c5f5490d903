/** CPU milliseconds of this thread for `run`, independent of other load. */
function cpuTime(run: () => void): number {
  const start = process.threadCpuUsage();
  run();
  const { user, system } = process.threadCpuUsage(start);
  return (user + system) / 1000;
}

/** The minimum of a few runs, or the first below `limit`: a run may include an unrelated JavaScript garbage collection. */
export function leastCpuTime(limit: number, run: () => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5 && least >= limit; i++) least = Math.min(least, cpuTime(run));
  return least;
}
