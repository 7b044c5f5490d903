import { Semaphore } from '../oci/semaphore.ts';
import type { Exchange } from './exchange.ts';

/** Lists that are built at once in this process: each is megabytes before any of it is sent, and the rest would wait in between. */
const building = new Semaphore(8);

/** nginx's for a client that was gone before its answer. */
const clientGone = 499;

/**
 * Answers with a list when there is room to build one. A list whose connection closes meanwhile is dropped.
 * @param build is given a signal that says so
 */
export function buildList(exchange: Exchange, build: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const { response } = exchange;
  return building.take(async () => {
    const gone = new AbortController();
    const onClose = (): void => gone.abort();
    response.once('close', onClose);
    try {
      if (response.destroyed) gone.abort();
      await build(gone.signal);
    } catch (error) {
      if (!gone.signal.aborted) throw error;
      response.statusCode = clientGone;
    } finally {
      response.off('close', onClose);
    }
  });
}
