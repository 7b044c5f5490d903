import type { IncomingMessage, ServerResponse } from 'node:http';
import { RegistryError } from '../oci/errors.ts';

/** Whether a body comes with the request. Zero bytes may come chunked, without a Content-Length (Go's client does so). */
export function announcesBody(request: IncomingMessage): boolean {
  const { headers } = request;
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/**
 * Tells a client that waits for it (`Expect: 100-continue`) that its body is wanted. Call it when all checks are done. HTTP/1.0 has
 * no 100, and its `Expect` MUST be ignored (RFC 9110, 10.1.1).
 */
export function acceptBody(request: IncomingMessage, response: ServerResponse): void {
  const waits = request.headers.expect !== undefined && request.httpVersion !== '1.0';
  if (waits && !response.headersSent) response.writeContinue();
}

/** How a handler takes a body in. */
export interface Intake {
  /** No body comes. */
  readonly empty: boolean;
  /** Lets the body come; for when all checks are done, as some clients wait for it (`Expect: 100-continue`). */
  readonly open: () => IncomingMessage;
  /** Aborted when the body comes too slowly. */
  readonly signal: AbortSignal;
  /** To be told of each chunk's bytes: what makes progress is not cut. */
  readonly received: (bytes: number) => void;
}

/**
 * Reads a body of at most `limit` bytes into memory.
 * @throws RegistryError `MANIFEST_TOO_LARGE`, before the rest is read; `SIZE_INVALID` when the body breaks off
 */
export function readBody(
  request: IncomingMessage,
  limit: number,
  { open, signal, received }: Intake,
): Promise<Buffer> {
  const tooLarge = (): RegistryError =>
    new RegistryError('MANIFEST_TOO_LARGE', `at most ${limit} bytes are accepted`);
  if (Number(request.headers['content-length'] ?? 0) > limit) return Promise.reject(tooLarge());
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const leave = (): void => {
      request.off('data', onData).off('end', onEnd).off('close', onBroken);
      signal.removeEventListener('abort', onAbort);
      request.on('error', () => {});
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      received(chunk.length);
      if (size > limit) {
        leave();
        reject(tooLarge());
      } else {
        chunks.push(chunk);
      }
    };
    const onEnd = (): void => {
      leave();
      resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size));
    };
    const onBroken = (): void => {
      leave();
      reject(new RegistryError('SIZE_INVALID', 'the body ended before its end'));
    };
    const onAbort = (): void => {
      leave();
      reject(signal.reason);
    };
    open();
    if (request.readableEnded) return onEnd();
    if (request.destroyed) return onBroken();
    signal.addEventListener('abort', onAbort, { once: true });
    request.on('data', onData).on('end', onEnd).on('close', onBroken).on('error', onBroken);
  });
}

const lingerBytes = 512 << 10;
const lingerMilliseconds = 1_000;

/**
 * For a request that is answered before its body was read: after the answer the connection ends. Closing it at once would reset it
 * under a sender that is still writing, and proxies make a 502 of that. So this side ends its own direction only (RFC 9112, 9.6), and
 * drops some of the body. Where more comes it stops reading: a sender that can write no more looks for the answer, and the body may
 * be large.
 */
export function closeAfterRefusal(request: IncomingMessage, response: ServerResponse): void {
  const { socket } = request;
  response.shouldKeepAlive = false;
  let dropped = 0;
  request.on('error', () => {});
  request.on('data', (chunk: Buffer) => {
    dropped += chunk.length;
    if (dropped > lingerBytes) request.pause();
  });
  request.resume();
  // node:http calls it when the last answer of a connection has been written; it would destroy the socket.
  const close = socket.destroySoon?.bind(socket);
  socket.destroySoon = () => {
    socket.end();
    if (request.readableEnded) return close();
    request.once('end', close);
    setTimeout(() => socket.destroy(), lingerMilliseconds).unref();
  };
}
