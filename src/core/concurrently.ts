/**
 * Runs `run` over the items, at most `limit` at a time, and takes an item only when one is free to run. After a failure no
 * other begins; it rejects when all that had begun have ended.
 */
export async function concurrently<T>(
  items: AsyncIterable<T>,
  limit: number,
  run: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.asyncIterator]();
  let failed = false;
  const work = async (): Promise<void> => {
    try {
      while (!failed) {
        const next = await iterator.next();
        if (next.done) return;
        await run(next.value);
      }
    } catch (error) {
      failed = true;
      throw error;
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: limit }, work));
  if (failed) await iterator.return?.();
  for (const result of ended) if (result.status === 'rejected') throw result.reason;
}
