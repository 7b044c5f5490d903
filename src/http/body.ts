import type { IncomingMessage, ServerResponse } from 'node:http';
import { RegistryError } from '../oci/errors.ts';

/** Whether the request has a body. An empty one may be chunked, without a Content-Length (Go's client sends it so). */
export function announcesBody(request: IncomingMessage): boolean {
  const { headers } = request;
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/**
 * Sends `100 Continue` to a client that waits for it (`Expect: 100-continue`). Call it when all checks are done. HTTP/1.0 has
 * no 100, and its `Expect` MUST be ignored (RFC 9110, 10.1.1).
 */
export function acceptBody(request: IncomingMessage, response: ServerResponse): void {
  const waits = request.headers.expect !== undefined && request.httpVersion !== '1.0';
  if (waits && !response.headersSent) response.writeContinue();
}

/** How a handler receives a body. */
export interface Intake {
  readonly empty: boolean;
  /** Sends `100 Continue` to a client that waits for it, and returns the body; call it when all checks are done. */
  readonly open: () => IncomingMessage;
  /** Aborted when the body comes too slowly. */
  readonly signal: AbortSignal;
  /** Counts the bytes of each chunk; a body that makes progress is not aborted. */
  readonly received: (bytes: number) => void;
}

/**
 * Reads a body of at most `limit` bytes into memory.
 * @throws RegistryError `MANIFEST_TOO_LARGE`, before the rest is read; `SIZE_INVALID` when the body is incomplete
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
    const removeListeners = (): void => {
      request.off('data', onData).off('end', onEnd).off('close', onBroken);
      signal.removeEventListener('abort', onAbort);
      request.on('error', () => {});
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      received(chunk.length);
      if (size > limit) {
        removeListeners();
        reject(tooLarge());
      } else {
        chunks.push(chunk);
      }
    };
    const onEnd = (): void => {
      removeListeners();
      resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size));
    };
    const onBroken = (): void => {
      removeListeners();
      reject(new RegistryError('SIZE_INVALID', 'the connection closed before the end of the body'));
    };
    const onAbort = (): void => {
      removeListeners();
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
 * Closes the connection after a request is answered before its body was read. Closing it at once would reset it while the client
 * still writes, and proxies turn that into a 502. So this side ends its own direction only (RFC 9112, 9.6), and discards up to
 * 512 KiB of the body. Then it stops reading: a client that cannot write reads the answer.
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
  // node:http calls destroySoon, which destroys the socket, after the last answer of a connection.
  const close = socket.destroySoon?.bind(socket);
  socket.destroySoon = () => {
    socket.end();
    if (request.readableEnded) return close();
    request.once('end', close);
    setTimeout(() => socket.destroy(), lingerMilliseconds).unref();
  };
}
