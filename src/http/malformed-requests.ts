import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Answered } from '../telemetry/access-log.ts';
import type { ClientOf } from './client.ts';
import { requestId } from './request-id.ts';

/**
 * Answers what Node cannot read as a request, or what does not come in time, and closes the connection. Tells `observe` of it as of
 * any request, unless it is the rest of one that has a handler.
 */
export function answerMalformed({
  clientOf,
  observe,
  currentOf,
}: {
  clientOf: ClientOf;
  observe: (answered: Answered) => void;
  /** The answer that a connection waits for. */
  currentOf: (socket: Socket) => ServerResponse | undefined;
}) {
  return (error: NodeJS.ErrnoException, socket: Socket): void => {
    // Nobody is left to be answered.
    if (error.code === 'ECONNRESET' || socket.destroyed) return;
    const current = currentOf(socket);
    if (current?.headersSent) {
      // It has its answer, and a second one would be taken for the next request's.
      if (current.writableEnded) socket.destroySoon();
      else socket.destroy(error);
      return;
    }
    const id = requestId();
    const status = statusOf(error);
    const body = JSON.stringify({ statusCode: status, error: STATUS_CODES[status], message: error.message });
    const client = { address: clientOf({ socket, headers: {} } as IncomingMessage).address };
    if (socket.writable) {
      socket.write(
        `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nX-Request-Id: ${id}\r\nContent-Type: application/json\r\n` +
          `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
      );
    }
    socket.destroy(error);
    // Connections that are opened in advance, and never used, have asked for nothing.
    if (socket.bytesRead === 0 || current !== undefined) return;
    observe({
      exchange: { request: { headers: {} }, client, requestId: id, sent: body.length, received: 0 },
      route: undefined,
      identity: undefined,
      status,
      duration: 0,
      error: undefined,
    });
  };
}

/** This is no proxy. */
export class ConnectRefused extends Error {
  readonly code = 'ERR_CONNECT_REFUSED';
  constructor() {
    super('there is no CONNECT here');
  }
}

function statusOf({ code }: NodeJS.ErrnoException): number {
  if (code === 'HPE_HEADER_OVERFLOW') return 431;
  if (code === 'ERR_CONNECT_REFUSED') return 501;
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
}
