import type { Readable } from 'node:stream';

export interface BodyListener {
  data(chunk: Buffer): void;
  /** Once, when nothing more comes; `interrupted` is why that is before its end. */
  end(interrupted?: Error): void;
}

/**
 * Listens to a body until it ends, breaks off, or `signal` ends it with its reason. It may be over before that: then `end` is
 * called at once. What happens after the last byte has come takes nothing away from it.
 *
 * @returns a function that stops listening
 */
export function followBody(
  body: Readable,
  signal: AbortSignal | undefined,
  listener: BodyListener,
): () => void {
  const leave = (): void => {
    body.off('data', onData).off('end', onEnd).off('error', end).off('close', onClose);
    signal?.removeEventListener('abort', onAbort);
    // The body may still break later, when nobody is left to care.
    body.on('error', () => {});
  };
  const end = (interrupted?: Error): void => {
    leave();
    listener.end(interrupted);
  };
  const onData = (chunk: Buffer): void => listener.data(chunk);
  const onEnd = (): void => end();
  const onAbort = (): void => end(signal?.reason as Error);
  const onClose = (): void =>
    end(body.readableEnded ? undefined : new Error('the connection closed before the body ended'));
  if (signal?.aborted) onAbort();
  else if (body.readableEnded || body.destroyed) onClose();
  else {
    signal?.addEventListener('abort', onAbort, { once: true });
    body.on('data', onData).on('end', onEnd).on('error', end).on('close', onClose);
  }
  return leave;
}
