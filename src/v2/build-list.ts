import type { Answer } from '../http/answer.ts';
import { clientGone } from '../http/error-status.ts';
import type { HttpRequest } from '../http/request.ts';
import { Semaphore } from '../oci/semaphore.ts';

/** Limits the lists that this process builds at once: each is megabytes in memory before any of it is sent. */
const building = new Semaphore(8);

/**
 * Builds a list, after waiting for a free slot. A list whose connection closes meanwhile is dropped.
 * @param build receives a signal that aborts when the connection closes
 */
export function buildList(
  request: HttpRequest,
  build: (closed: AbortSignal) => Promise<Answer>,
): Promise<Answer> {
  return building.run(() =>
    request.whileConnected(async (closed) => {
      try {
        return await build(closed);
      } catch (error) {
        if (!closed.aborted) throw error;
        return { status: clientGone, headers: {} };
      }
    }),
  );
}
