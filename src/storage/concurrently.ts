// p-map and p-limit reject at the first failure while other work still runs; its files and connections would outlive the failure.

/**
 * Runs `run` over the items, at most `limit` at a time, and takes an item only when one is free to run. After a failure no
 * other begins; rejects with the first failure when all that had begun have ended.
 */
export async function concurrently<T>(
  items: AsyncIterable<T> | Iterable<T>,
  limit: number,
  run: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
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

/** {@link concurrently} over a list; returns the results in its order. */
export async function mapConcurrently<T, R>(
  items: readonly T[],
  limit: number,
  run: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  await concurrently(items.entries(), limit, async ([index, item]) => {
    results[index] = await run(item, index);
  });
  return results;
}
