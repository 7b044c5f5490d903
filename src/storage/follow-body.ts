import type { Readable } from 'node:stream';

export interface BodyListener {
  data(chunk: Buffer): void;
  /** Called once, after the last data; `interrupted` is the reason if the body broke off. */
  end(interrupted?: Error): void;
}

/**
 * Listens to a body until it ends or breaks off, or `signal` is aborted. Calls `end` at once if one of these has already happened.
 * An error after the last byte does not count as an interruption.
 *
 * @returns a function that stops listening
 */
export function followBody(
  body: Readable,
  signal: AbortSignal | undefined,
  listener: BodyListener,
): () => void {
  const stop = (): void => {
    body.off('data', onData).off('end', onEnd).off('error', end).off('close', onClose);
    signal?.removeEventListener('abort', onAbort);
    // The body may still fail later; an error without a listener would be an uncaught exception.
    body.on('error', () => {});
  };
  const end = (interrupted?: Error): void => {
    stop();
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
  return stop;
}
