/**
 * Runs `job` every `interval` milliseconds, give or take a tenth, never twice at once, until stopped. A run that fails is
 * reported and the next one comes all the same.
 */
export function schedule(
  interval: number,
  job: (signal: AbortSignal) => Promise<void>,
  failed: (error: unknown) => void,
): { stop(): Promise<void> } {
  const stopped = new AbortController();
  let running: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout;
  const plan = (): void => {
    timer = setTimeout(run, interval * (0.9 + Math.random() * 0.2)).unref();
  };
  const run = (): void => {
    running = job(stopped.signal)
      .catch((error) => {
        if (!stopped.signal.aborted) failed(error);
      })
      .finally(() => {
        if (!stopped.signal.aborted) plan();
      });
  };
  plan();
  return {
    async stop() {
      stopped.abort();
      clearTimeout(timer);
      await running;
    },
  };
}
