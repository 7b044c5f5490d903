import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { RegistryError } from '../oci/errors.ts';

/** What a request waits for from its client: more of its body, or room for more of the answer. */
type Side = 'body' | 'reader';

interface Connection {
  /** In the order in which they are answered; those that are sent to the end are taken away when the next one comes. */
  readonly responses: ServerResponse[];
  /** Which request has waited for which side since when, and the bytes that had moved by then. */
  response: ServerResponse | undefined;
  side: Side | undefined;
  since: number;
  moved: number;
}

type End = (reason: RegistryError) => void;

const ends = new WeakMap<IncomingMessage, End>();

/**
 * Says what is done when the body of a request stalls, in place of cutting its connection: a handler that reads it can still answer
 * 408. Holds until the function returned is called.
 */
export function onStalled(request: IncomingMessage, end: End): () => void {
  ends.set(request, end);
  return () => void ends.delete(request);
}

/**
 * Ends requests whose client stalls or trickles, on every connection of a server: a body that does not come, an answer that is not
 * read. There is no limit on how long a request may take, as a large layer over a thin line takes hours and is welcome; nor is a
 * client the slow one while this side has the next move. Connections without a request are Node's to end.
 */
export class StalledRequests {
  readonly #window: number;
  readonly #minimum: number;
  readonly #connections = new Map<Socket, Connection>();
  readonly #interval: number;
  #timer: NodeJS.Timeout | undefined;
  #checked = 0;

  /** @param limits idle time in milliseconds, rate in bytes per second; both judged over one idle time */
  constructor(limits: { idleTimeout: number; minimumRate: number }) {
    this.#window = limits.idleTimeout;
    this.#interval = Math.max(limits.idleTimeout / 8, 10);
    this.#minimum = Math.max(1, (limits.minimumRate * limits.idleTimeout) / 1000);
  }

  /** Watches a request, from its head to the last byte of its answer. It is called for each, so it does next to nothing. */
  watch(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const connection = this.#connections.get(socket);
    if (connection === undefined) this.#add(socket, response);
    else {
      dropSent(connection.responses);
      connection.responses.push(response);
    }
  }

  /** The first answer of a connection that is not sent to the end. */
  currentOf(socket: Socket): ServerResponse | undefined {
    const responses = this.#connections.get(socket)?.responses ?? [];
    dropSent(responses);
    return responses[0];
  }

  /** How many connections are watched. */
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
      moved: 0,
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
    // While this thread was busy, nothing could come or go.
    const busy = Math.max(now - this.#checked - 2 * this.#interval, 0);
    this.#checked = now;
    for (const [socket, connection] of this.#connections) {
      connection.since += busy;
      const { responses } = connection;
      dropSent(responses);
      const [response] = responses;
      const side = response && sideOf(response);
      if (response !== connection.response || side !== connection.side) {
        Object.assign(connection, { response, side, since: now, moved: side && movedOn(socket, side) });
      } else if (side !== undefined && now - connection.since >= this.#window) {
        const moved = movedOn(socket, side);
        if (moved - connection.moved < this.#minimum) this.#end(socket, response as ServerResponse, side);
        connection.moved = moved;
        connection.since = now;
      }
    }
  }

  #end(socket: Socket, { req }: ServerResponse, side: Side): void {
    const end = side === 'body' ? ends.get(req) : undefined;
    if (end === undefined) return void socket.destroy();
    // If that helps nothing, there is no other way the next time.
    ends.delete(req);
    end(new RegistryError('REQUEST_TIMEOUT', `less than ${this.#minimum} bytes in ${this.#window} ms`));
  }
}

function dropSent(responses: ServerResponse[]): void {
  while (responses[0]?.writableFinished) responses.shift();
}

/** `undefined`: the next move is this side's, which works on the answer, or waits for its disk with the body paused. */
function sideOf(response: ServerResponse): Side | undefined {
  // An answer without a socket waits for the one before it.
  if (response.socket === null) return undefined;
  if (response.writableLength > 0) return 'reader';
  const { req: request } = response;
  return !request.complete && request.readableFlowing ? 'body' : undefined;
}

/** Bytes that have come, or that the system has taken. */
function movedOn(socket: Socket, side: Side): number {
  if (side === 'body') return socket.bytesRead;
  // How far it is within one large write only the handle tells, by which Node's own timeout of a socket goes too.
  const { _handle: handle } = socket as { _handle?: { bytesWritten: number; writeQueueSize: number } | null };
  return handle ? handle.bytesWritten - handle.writeQueueSize : 0;
}
