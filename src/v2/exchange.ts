import type { IncomingMessage, OutgoingHttpHeader, ServerResponse } from 'node:http';
import type { RequestOrigin } from '../access/actor.ts';
import { acceptBody, announcesBody, closeAfterRefusal, type Intake } from '../http/body.ts';
import type { Client, ClientOf } from '../http/client.ts';
import { sendFile } from '../http/send-file.ts';
import { sendStream } from '../http/send-stream.ts';
import { onStalled } from '../http/stalled-requests.ts';
import { countedFrom, unsentAnswers } from '../http/unsent.ts';
import type { Digest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import type { ByteRange, OpenBlob } from '../storage/blob-store.ts';

export type Headers = Readonly<Record<string, OutgoingHttpHeader>>;

/** A part of a blob to send. */
export interface BlobPart {
  readonly range: ByteRange;
  /** Opens at least the range. */
  readonly open: () => Promise<OpenBlob>;
  /** The boundary and headers before it, in a multipart answer. */
  readonly preamble?: string;
}

/** Scheme and host of the registry for this client; `undefined` when unknown. */
export type LocationBase = (client: Client) => string | undefined;

/** One request and its answer, on the raw streams of node:http. Handlers decide what is sent, and this class sends it. */
export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  readonly #clientOf: ClientOf;
  readonly #locationBase: LocationBase | undefined;
  #client: Client | undefined;
  #query: URLSearchParams | undefined;
  #bodyTaken = false;
  /** Bytes of the answer's body. */
  sent = 0;
  /** Bytes of the request's body that were read. */
  received = 0;
  /** The digest of the manifest that is sent; a request by tag does not name it. */
  manifest: Digest | undefined;
  /** Headers added to every answer, errors included. */
  extraHeaders: Headers | undefined;
  /** Headers added to error answers. */
  errorHeaders: Headers = {};

  constructor(parts: {
    request: IncomingMessage;
    response: ServerResponse;
    requestId: string;
    clientOf: ClientOf;
    locationBase?: LocationBase | undefined;
  }) {
    this.request = parts.request;
    this.response = parts.response;
    this.requestId = parts.requestId;
    this.#clientOf = parts.clientOf;
    this.#locationBase = parts.locationBase;
  }

  get client(): Client {
    this.#client ??= this.#clientOf(this.request);
    return this.#client;
  }

  /** The origin of the request, for the records of its changes. */
  get origin(): RequestOrigin {
    return {
      address: this.client.address,
      client: this.request.headers['user-agent'],
      requestId: this.requestId,
    };
  }

  /** The value of `Location` for a path of this registry. */
  locationOf(path: string): string {
    return `${this.#locationBase?.(this.client) ?? ''}${path}`;
  }

  get isHead(): boolean {
    return this.request.method === 'HEAD';
  }

  get path(): string {
    const url = this.request.url as string;
    const question = url.indexOf('?');
    return question === -1 ? url : url.slice(0, question);
  }

  get query(): URLSearchParams {
    if (this.#query === undefined) {
      const url = this.request.url as string;
      const question = url.indexOf('?');
      this.#query = new URLSearchParams(question === -1 ? '' : url.slice(question));
    }
    return this.#query;
  }

  /** A header's value; repeated ones joined by commas. */
  header(name: string): string | undefined {
    const value = this.request.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  /**
   * Passes the body to `take`, and aborts it when it is too slow.
   * @throws RegistryError `ENCODING_UNSUPPORTED`: digests are of the unencoded bytes
   */
  async takeBody<T>(take: (intake: Intake) => Promise<T>): Promise<T> {
    if (this.request.headers['content-encoding'] !== undefined) {
      throw new RegistryError('ENCODING_UNSUPPORTED');
    }
    this.#bodyTaken = true;
    const { request, response } = this;
    const slow = new AbortController();
    const received = (bytes: number): void => {
      this.received += bytes;
    };
    const open = (): IncomingMessage => {
      acceptBody(request, response);
      return request;
    };
    if (!announcesBody(request)) return take({ empty: true, open, signal: slow.signal, received });
    const unwatch = onStalled(request, (reason) => slow.abort(reason));
    try {
      return await take({ empty: false, open, signal: slow.signal, received });
    } finally {
      unwatch();
    }
  }

  /** Answers with a body from memory, or without one. */
  reply(status: number, headers: Headers, body?: Buffer | string): void {
    const { response } = this;
    const length = body === undefined ? 0 : Buffer.byteLength(body);
    const isLarge = length >= countedFrom;
    this.#beforeHead();
    const head = this.#head(headers);
    // 204 and 304 have no body, so no length; a HEAD has the length of the GET.
    if (status !== 204 && status !== 304 && !('Content-Length' in headers))
      head.push('Content-Length', `${length}`);
    response.writeHead(status, head);
    if (!this.isHead) this.sent = length;
    // node:http would keep a string in memory twice until all of it is sent.
    response.end(isLarge && typeof body === 'string' ? Buffer.from(body) : body);
    if (isLarge) unsentAnswers.add(response, length);
  }

  /**
   * Answers with parts of a blob, one after another. Rejects before anything is sent when the first cannot be opened. After
   * that, only a broken connection can tell the client that bytes are missing.
   */
  async replyBlob(
    status: number,
    headers: Headers,
    parts: readonly BlobPart[],
    epilogue = '',
  ): Promise<void> {
    const { response } = this;
    let opened: OpenBlob | undefined = await parts[0]?.open();
    this.#beforeHead();
    response.writeHead(status, this.#head(headers));
    const progress = (bytes: number): void => {
      this.sent += bytes;
    };
    try {
      for (const { preamble, range, open } of parts) {
        opened ??= await open();
        if (preamble !== undefined) response.write(preamble);
        if ('fd' in opened) await sendFile(response, opened.fd, range, progress);
        else await sendStream(response, opened.stream, range, progress);
        opened.close();
        opened = undefined;
      }
      response.end(epilogue);
    } catch (error) {
      response.destroy();
      throw error;
    } finally {
      opened?.close();
    }
  }

  /** Alternating names and values, which node:http uses unchanged. */
  #head(headers: Headers): string[] {
    // On every answer (2.1): old clients check for the version before anything else.
    const head = ['Docker-Distribution-API-Version', 'registry/2.0', 'X-Request-Id', this.requestId];
    appendHeaders(head, headers);
    if (this.extraHeaders !== undefined) appendHeaders(head, this.extraHeaders);
    return head;
  }

  /** An answer before the end of the body closes the connection: the next bytes on it are no request. */
  #beforeHead(): void {
    const { request, response } = this;
    if (announcesBody(request) && !(this.#bodyTaken && request.readableEnded))
      closeAfterRefusal(request, response);
  }
}

function appendHeaders(head: string[], headers: Headers): void {
  for (const name in headers) {
    const value = headers[name];
    if (Array.isArray(value)) for (const one of value) head.push(name, one);
    else head.push(name, `${value}`);
  }
}
