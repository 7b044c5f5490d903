// Not p-map or p-limit: they reject at the first failure, while other calls still run and use files and connections.

/**
 * Calls `run` for each item, at most `limit` at a time, taking an item from the source only when it can run. After a failure no
 * further call starts; rejects with the first failure once all running calls have ended.
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

/** {@link concurrently} over a list; returns the results in order. */
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
