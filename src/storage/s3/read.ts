import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import type { BlobStream, ByteRange } from '../blob-store.ts';
import { StoreUnavailable } from '../store-errors.ts';
import type { S3Bucket } from './bucket.ts';

/** An object's bytes as a stream that resumes after connection failures; `undefined` when the object does not exist. */
export async function openObject(
  bucket: S3Bucket,
  key: string,
  range?: ByteRange,
): Promise<BlobStream | undefined> {
  const place = { Bucket: bucket.name, Key: key };
  const { idleTimeout } = bucket;
  const options = { responseTimeout: idleTimeout };
  const first = await bucket.find(new GetObjectCommand({ ...place, ...rangeOf(range) }), options);
  if (first === undefined) return undefined;
  const { ContentLength: length, ContentRange, ETag } = first;
  const total = ContentRange === undefined ? length : Number(ContentRange.split('/')[1]);
  const start = range?.start ?? 0;
  if (length === undefined || total === undefined || !Number.isSafeInteger(total)) {
    (first.Body as Readable).destroy();
    throw new StoreUnavailable('S3 GetObject failed: the response has no size');
  }
  const stream = resuming(
    first.Body as Readable,
    { total: length, idleTimeout },
    async (received, signal) => {
      const rest = rangeOf({ start: start + received, end: start + length - 1 });
      // The object may have been replaced; its bytes must not be mixed with those already sent.
      const same = ETag === undefined ? {} : { IfMatch: ETag };
      const found = await bucket.send(new GetObjectCommand({ ...place, ...rest, ...same }), {
        ...options,
        signal,
      });
      if (found.ContentRange?.startsWith(`bytes ${start + received}-`)) return found.Body as Readable;
      (found.Body as Readable).destroy();
      throw new StoreUnavailable('S3 GetObject failed: the response is not the requested range');
    },
  );
  return { stream, size: total, close: () => stream.destroy() };
}

function rangeOf(range: ByteRange | undefined): { Range?: string } {
  return range ? { Range: `bytes=${range.start}-${range.end}` } : {};
}

const maxBreaks = 5;
/** Bytes after which a connection counts as working, which resets the count of breaks. */
const resetAfter = 1 << 20;

export interface Resumption {
  /** Bytes. */
  readonly total: number;
  /** Milliseconds without a byte, while the reader waits, after which a connection counts as broken. */
  readonly idleTimeout: number;
}

/**
 * A stream of `total` bytes over several connections: when one breaks or times out, the next one continues from there.
 *
 * @param open opens a stream of the bytes after those received
 */
export function resuming(
  first: Readable,
  { total, idleTimeout }: Resumption,
  open: (received: number, signal: AbortSignal) => Promise<Readable>,
): Readable {
  const closed = new AbortController();
  let body: Readable | undefined;
  let received = 0;
  let breaks = 0;
  let receivedAtBreak = 0;
  let silence: NodeJS.Timeout | undefined;

  const stream = new Readable({
    read() {
      if (!body?.isPaused()) return;
      silence?.refresh();
      body.resume();
    },
    destroy(error, done) {
      clearTimeout(silence);
      closed.abort(new Error('the reader closed the stream'));
      body?.destroy();
      done(error);
    },
  });

  const attach = (next: Readable): void => {
    body = next;
    let over = false;
    const broken = (error?: Error): void => {
      if (over) return;
      over = true;
      clearTimeout(silence);
      next.destroy();
      if (!stream.destroyed) resume(error);
    };
    silence = setTimeout(() => {
      // While a slow reader pauses the stream, no bytes are expected.
      if (next.isPaused()) silence?.refresh();
      else broken(new Error(`no byte in ${idleTimeout} ms`));
    }, idleTimeout).unref();
    next.on('error', broken).on('close', () => broken());
    next.on('end', () => {
      if (over || received < total) return broken();
      over = true;
      clearTimeout(silence);
      stream.push(null);
    });
    next.on('data', (chunk: Buffer) => {
      if (over) return;
      received += chunk.length;
      silence?.refresh();
      if (received > total) {
        over = true;
        stream.destroy(
          new StoreUnavailable(`S3 GetObject failed: more than the ${total} requested bytes were sent`),
        );
      } else if (!stream.push(chunk)) next.pause();
    });
  };

  const resume = async (error?: Error): Promise<void> => {
    body = undefined;
    if (received - receivedAtBreak >= resetAfter) breaks = 0;
    receivedAtBreak = received;
    breaks += 1;
    try {
      if (breaks > maxBreaks) {
        const why = error?.message ?? 'the connection broke';
        throw new StoreUnavailable(`S3 GetObject failed after ${received} of ${total} bytes: ${why}`);
      }
      await delay(Math.random() * 50 * 2 ** breaks, undefined, { signal: closed.signal });
      const next = await open(received, closed.signal);
      if (stream.destroyed) next.destroy();
      else attach(next);
    } catch (failure) {
      if (!stream.destroyed) stream.destroy(failure as Error);
    }
  };

  attach(first);
  return stream;
}
