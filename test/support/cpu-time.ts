/** Milliseconds of the processor that this thread takes for `run`; what else the machine does meanwhile is not counted. */
function cpuTime(run: () => void): number {
  const start = process.threadCpuUsage();
  run();
  const { user, system } = process.threadCpuUsage(start);
  return (user + system) / 1000;
}

/** The least of a few runs, or the first below `limit`: a collection of garbage is not the fault of what runs. */
export function leastCpuTime(limit: number, run: () => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5 && least >= limit; i++) least = Math.min(least, cpuTime(run));
  return least;
}
