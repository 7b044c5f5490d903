import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { RegistryError } from '../oci/errors.ts';

/** What a request waits for: more of its body, or a client that reads more of the answer. */
type Side = 'body' | 'reader';

interface Connection {
  /** In the order of their answers; finished ones are removed when the next one comes. */
  readonly responses: ServerResponse[];
  /** The request that waits, the side it waits for, since when (ms), and the bytes transferred by then. */
  response: ServerResponse | undefined;
  side: Side | undefined;
  since: number;
  transferred: number;
}

type End = (reason: RegistryError) => void;

const ends = new WeakMap<IncomingMessage, End>();

/**
 * Calls `end` when the body of a request stalls, instead of cutting its connection, so that the handler can answer 408. The
 * returned function removes `end`.
 */
export function onStalled(request: IncomingMessage, end: End): () => void {
  ends.set(request, end);
  return () => void ends.delete(request);
}

/**
 * Ends requests whose client sends the body or reads the answer too slowly, on every connection of a server. The duration of a
 * request has no limit, as a large layer over a slow line takes hours. Time in which Berth itself is busy with the request does
 * not count. Node ends idle connections.
 */
export class StalledRequests {
  readonly #window: number;
  readonly #minimum: number;
  readonly #connections = new Map<Socket, Connection>();
  readonly #interval: number;
  #timer: NodeJS.Timeout | undefined;
  #checked = 0;

  /** @param limits idle time in milliseconds, rate in bytes per second; both measured over one idle time */
  constructor(limits: { idleTimeout: number; minimumRate: number }) {
    this.#window = limits.idleTimeout;
    this.#interval = Math.max(limits.idleTimeout / 8, 10);
    this.#minimum = Math.max(1, (limits.minimumRate * limits.idleTimeout) / 1000);
  }

  /** Watches a request, from its head to the last byte of its answer. A hot path: called for each request. */
  watch(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const connection = this.#connections.get(socket);
    if (connection === undefined) this.#add(socket, response);
    else {
      dropSent(connection.responses);
      connection.responses.push(response);
    }
  }

  /** The first unfinished response of a connection. */
  currentOf(socket: Socket): ServerResponse | undefined {
    const responses = this.#connections.get(socket)?.responses ?? [];
    dropSent(responses);
    return responses[0];
  }

  /** The number of watched connections. */
  get size(): number {
    return this.#connections.size;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#connections.clear();
  }

  #add(socket: Socket, response: ServerResponse): void {
    this.#connections.set(socket, {
      responses: [response],
      response: undefined,
      side: undefined,
      since: 0,
      transferred: 0,
    });
    socket.once('close', () => {
      this.#connections.delete(socket);
      if (this.#connections.size === 0) this.close();
    });
    if (this.#timer !== undefined) return;
    this.#checked = performance.now();
    this.#timer = setInterval(() => this.#check(), this.#interval).unref();
  }

  #check(): void {
    const now = performance.now();
    // Time in which this thread was busy does not count.
    const busy = Math.max(now - this.#checked - 2 * this.#interval, 0);
    this.#checked = now;
    for (const [socket, connection] of this.#connections) {
      connection.since += busy;
      const { responses } = connection;
      dropSent(responses);
      const [response] = responses;
      const side = response && sideOf(response);
      if (response !== connection.response || side !== connection.side) {
        Object.assign(connection, {
          response,
          side,
          since: now,
          transferred: side && transferredOn(socket, side),
        });
      } else if (side !== undefined && now - connection.since >= this.#window) {
        const transferred = transferredOn(socket, side);
        if (transferred - connection.transferred < this.#minimum)
          this.#end(socket, response as ServerResponse, side);
        connection.transferred = transferred;
        connection.since = now;
      }
    }
  }

  #end(socket: Socket, { req }: ServerResponse, side: Side): void {
    const end = side === 'body' ? ends.get(req) : undefined;
    if (end === undefined) return void socket.destroy();
    // If the request still stalls, the next check destroys the socket.
    ends.delete(req);
    end(new RegistryError('REQUEST_TIMEOUT', `less than ${this.#minimum} bytes in ${this.#window} ms`));
  }
}

function dropSent(responses: ServerResponse[]): void {
  while (responses[0]?.writableFinished) responses.shift();
}

/** `undefined`: the request waits for Berth, which works on the answer, or has paused the body while its disk is busy. */
function sideOf(response: ServerResponse): Side | undefined {
  // A response without a socket waits for the one before it.
  if (response.socket === null) return undefined;
  if (response.writableLength > 0) return 'reader';
  const { req: request } = response;
  return !request.complete && request.readableFlowing ? 'body' : undefined;
}

/** Bytes received, or accepted by the operating system. */
function transferredOn(socket: Socket, side: Side): number {
  if (side === 'body') return socket.bytesRead;
  // Only the handle knows the progress of one large write; Node's own socket timeout uses it too.
  const { _handle: handle } = socket as { _handle?: { bytesWritten: number; writeQueueSize: number } | null };
  return handle ? handle.bytesWritten - handle.writeQueueSize : 0;
}
