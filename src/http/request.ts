import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { RegistryError } from '../oci/errors.ts';
import { acceptBody, announcesBody, type Intake, readBody } from './body.ts';
import type { Client, ClientOf } from './client.ts';
import type { ConnectionLimits } from './connection-limits.ts';
import { refusalOfHead } from './request-head.ts';
import { onStalled } from './stalled-requests.ts';

/** Scheme and host of the registry for this client; `undefined` when unknown. */
export type LocationBase = (client: Client) => string | undefined;

/** The parts that every request of a listener needs. */
export interface RequestParts {
  readonly clientOf: ClientOf;
  /** Absent: `Location` is a path. */
  readonly locationBase?: LocationBase | undefined;
  /** Absent: any number of connections may be open. */
  readonly connections?: Pick<ConnectionLimits, 'refusalOf'> | undefined;
}

/** A request to the API, on the raw streams of node:http. A handler can read it, and cannot write to its connection. */
export class HttpRequest {
  readonly id: string;
  readonly #incoming: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #parts: RequestParts;
  #client: Client | undefined;
  #query: URLSearchParams | undefined;
  #bodyTaken = false;
  #received = 0;

  constructor(incoming: IncomingMessage, response: ServerResponse, id: string, parts: RequestParts) {
    this.id = id;
    this.#incoming = incoming;
    this.#response = response;
    this.#parts = parts;
  }

  get method(): string {
    return this.#incoming.method as string;
  }

  get isHead(): boolean {
    return this.#incoming.method === 'HEAD';
  }

  get url(): string {
    return this.#incoming.url as string;
  }

  get path(): string {
    const { url } = this;
    const question = url.indexOf('?');
    return question === -1 ? url : url.slice(0, question);
  }

  get query(): URLSearchParams {
    if (this.#query === undefined) {
      const { url } = this;
      const question = url.indexOf('?');
      this.#query = new URLSearchParams(question === -1 ? '' : url.slice(question));
    }
    return this.#query;
  }

  get headers(): IncomingHttpHeaders {
    return this.#incoming.headers;
  }

  /** A header's value; repeated ones joined by commas. */
  header(name: string): string | undefined {
    const value = this.#incoming.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  get client(): Client {
    this.#client ??= this.#parts.clientOf(this.#incoming);
    return this.#client;
  }

  /** The origin of the request, for the records of its changes. Read it first: a closed connection has no address. */
  get origin() {
    return {
      address: this.client.address,
      client: this.#incoming.headers['user-agent'],
      requestId: this.id,
    };
  }

  /** The value of `Location` for a path of this registry. */
  locationOf(path: string): string {
    return `${this.#parts.locationBase?.(this.client) ?? ''}${path}`;
  }

  /** The error for a request with an invalid head, or on a connection beyond the limits. */
  get refusal(): RegistryError | undefined {
    return refusalOfHead(this.#incoming) ?? this.#parts.connections?.refusalOf(this.#incoming);
  }

  /** Bytes of the body that were read. */
  get received(): number {
    return this.#received;
  }

  /** Whether a part of the body is unread. Its bytes must not be read as the next request on the connection. */
  get hasUnreadBody(): boolean {
    const incoming = this.#incoming;
    return announcesBody(incoming) && !(this.#bodyTaken && incoming.readableEnded);
  }

  /**
   * Reads a body of at most `limit` bytes into memory.
   * @throws RegistryError `ENCODING_UNSUPPORTED` | `MANIFEST_TOO_LARGE` | `SIZE_INVALID` | `REQUEST_TIMEOUT`
   */
  readBody(limit: number): Promise<Buffer> {
    return this.takeBody((intake) => readBody(this.#incoming, limit, intake));
  }

  /**
   * Passes the body to `take`, and aborts it when the client sends too slowly.
   * @throws RegistryError `ENCODING_UNSUPPORTED`: digests are of the unencoded bytes
   */
  async takeBody<T>(take: (intake: Intake) => Promise<T>): Promise<T> {
    const incoming = this.#incoming;
    if (incoming.headers['content-encoding'] !== undefined) {
      throw new RegistryError('ENCODING_UNSUPPORTED');
    }
    this.#bodyTaken = true;
    const slow = new AbortController();
    const received = (bytes: number): void => {
      this.#received += bytes;
    };
    const open = (): IncomingMessage => {
      acceptBody(incoming, this.#response);
      return incoming;
    };
    if (!announcesBody(incoming)) return take({ empty: true, open, signal: slow.signal, received });
    const unwatch = onStalled(incoming, (reason) => slow.abort(reason));
    try {
      return await take({ empty: false, open, signal: slow.signal, received });
    } finally {
      unwatch();
    }
  }

  /** Runs `work` with a signal that aborts when the connection closes. */
  async whileConnected<T>(work: (closed: AbortSignal) => Promise<T>): Promise<T> {
    const response = this.#response;
    const closed = new AbortController();
    const onClose = (): void => closed.abort();
    response.once('close', onClose);
    try {
      if (response.destroyed) closed.abort();
      return await work(closed.signal);
    } finally {
      response.off('close', onClose);
    }
  }
}
