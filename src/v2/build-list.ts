import { Semaphore } from '../oci/semaphore.ts';
import type { Exchange } from './exchange.ts';

/** Limits the lists that this process builds at once: each is megabytes in memory before any of it is sent. */
const building = new Semaphore(8);

/** nginx's status for a client that closed the connection before its answer. */
const clientGone = 499;

/**
 * Builds and sends a list, after waiting for a free slot. A list whose connection closes meanwhile is dropped.
 * @param build receives a signal that aborts when the connection closes
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
