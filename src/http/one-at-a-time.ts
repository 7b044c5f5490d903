import type { RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

const latest = Symbol('latest');

type WithLatest = Socket & { [latest]?: ServerResponse };

/**
 * Begins the next request of a connection when the answer to the one before has been handed over. Clients may send requests without
 * waiting for answers (RFC 9112, 9.3.2), and Node tells of all of them at once: hundreds in a packet would each be worked on, and
 * their answers, megabytes each, kept for somebody who reads none.
 */
export function oneAtATime(listener: RequestListener): RequestListener {
  return (request, response) => {
    const socket = request.socket as WithLatest;
    const before = socket[latest];
    socket[latest] = response;
    if (before === undefined || before.writableFinished) return listener(request, response);
    // When the connection ends instead, this is never told, and goes with it.
    before.once('close', () => {
      if (!socket.destroyed) listener(request, response);
    });
  };
}
