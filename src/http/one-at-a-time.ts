import type { RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

const latest = Symbol('latest');

type WithLatest = Socket & { [latest]?: ServerResponse };

/**
 * Starts the next request of a connection after the answer to the previous one is written. Clients may pipeline requests (RFC 9112,
 * 9.3.2), and Node emits all of them at once: hundreds in a packet would run in parallel, and their answers, megabytes each, would
 * stay in memory for a client that reads none.
 */
export function oneAtATime(listener: RequestListener): RequestListener {
  return (request, response) => {
    const socket = request.socket as WithLatest;
    const before = socket[latest];
    socket[latest] = response;
    if (before === undefined || before.writableFinished) return listener(request, response);
    // On a closed connection the request is dropped.
    before.once('close', () => {
      if (!socket.destroyed) listener(request, response);
    });
  };
}
