import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Answered } from '../telemetry/access-log.ts';
import type { ClientOf } from './client.ts';
import { requestId } from './request-id.ts';

/**
 * Answers input that Node cannot parse as a request, and requests whose head comes too late. Closes the connection, and reports the
 * input to `observe` like a request, unless a handler already has the request.
 */
export function answerMalformed({
  clientOf,
  observe,
  currentOf,
}: {
  clientOf: ClientOf;
  observe: (answered: Answered) => void;
  /** The first unfinished response of the connection. */
  currentOf: (socket: Socket) => ServerResponse | undefined;
}) {
  return (error: NodeJS.ErrnoException, socket: Socket): void => {
    if (error.code === 'ECONNRESET' || socket.destroyed) return;
    const current = currentOf(socket);
    if (current?.headersSent) {
      // The client would take a second answer for the answer to its next request.
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
    // Clients open connections in advance. A connection that received no byte had no request.
    if (socket.bytesRead === 0 || current !== undefined) return;
    observe({
      request: { id, headers: {}, client },
      route: undefined,
      identity: undefined,
      status,
      sent: body.length,
      received: 0,
      duration: 0,
      error: undefined,
    });
  };
}

/** Berth is no proxy. */
export class ConnectRefused extends Error {
  readonly code = 'ERR_CONNECT_REFUSED';
  constructor() {
    super('CONNECT is not supported');
  }
}

function statusOf({ code }: NodeJS.ErrnoException): number {
  if (code === 'HPE_HEADER_OVERFLOW') return 431;
  if (code === 'ERR_CONNECT_REFUSED') return 501;
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
}
