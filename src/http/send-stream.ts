import type { Readable, Writable } from 'node:stream';
import type { ByteRange } from '../storage/blob-store.ts';

/**
 * Sends a range from a stream, no faster than the socket accepts it.
 *
 * Rejects when the stream fails, or does not have exactly the range's bytes, or the client disconnects; the caller ends the
 * response and closes the stream.
 *
 * @param progress called with the number of bytes each time the socket has accepted some
 */
export function sendStream(
  to: Writable,
  stream: Readable,
  { start, end }: ByteRange,
  progress: (bytes: number) => void,
): Promise<void> {
  const total = end - start + 1;
  return new Promise<void>((resolve, reject) => {
    let sent = 0;
    let ended = false;
    let unwritten = 0;
    const settle = (error?: Error | null): void => {
      stream.off('data', onData).off('end', onEnd).off('error', settle).off('close', onBroken);
      to.off('drain', onDrain).off('close', onGone);
      stream.on('error', () => {});
      if (error) reject(error);
      else resolve();
    };
    const finish = (): void => {
      if (ended && unwritten === 0) settle();
    };
    const onData = (chunk: Buffer): void => {
      sent += chunk.length;
      // The client would take an extra byte for the beginning of the next answer.
      if (sent > total) {
        settle(new Error(`the store sent more than the requested ${total} bytes`));
        return;
      }
      unwritten += 1;
      const flowing = to.write(chunk, (error) => {
        unwritten -= 1;
        if (error) return settle(error);
        progress(chunk.length);
        finish();
      });
      if (!flowing) stream.pause();
    };
    const onEnd = (): void => {
      ended = true;
      if (sent === total) finish();
      else settle(new Error(`the store sent ${total - sent} bytes less than requested`));
    };
    const onBroken = (): void => {
      if (!ended) settle(new Error('the connection to the store broke'));
    };
    const onDrain = (): void => void stream.resume();
    const onGone = (): void => settle(new Error('the client disconnected'));
    if (to.destroyed) return onGone();
    if (stream.destroyed) return onBroken();
    to.on('drain', onDrain).on('close', onGone);
    stream.on('data', onData).on('end', onEnd).on('error', settle).on('close', onBroken);
  });
}
