import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import type { BlobStream, ByteRange } from '../blob-store.ts';
import { StoreUnavailable } from '../store-errors.ts';
import type { S3Bucket } from './bucket.ts';

/** An object's bytes as a stream that outlives its connection; `undefined` when there is no such object. */
export async function openObject(
  bucket: S3Bucket,
  key: string,
  range?: ByteRange,
): Promise<BlobStream | undefined> {
  const place = { Bucket: bucket.name, Key: key };
  const patience = bucket.idleTimeout;
  const first = await bucket.find(new GetObjectCommand({ ...place, ...rangeOf(range) }), { patience });
  if (first === undefined) return undefined;
  const { ContentLength: length, ContentRange, ETag } = first;
  const total = ContentRange === undefined ? length : Number(ContentRange.split('/')[1]);
  const start = range?.start ?? 0;
  if (length === undefined || total === undefined || !Number.isSafeInteger(total)) {
    (first.Body as Readable).destroy();
    throw new StoreUnavailable('S3 GetObject failed: the answer does not say how large the object is');
  }
  const stream = resuming(first.Body as Readable, { total: length, patience }, async (received, signal) => {
    const rest = rangeOf({ start: start + received, end: start + length - 1 });
    // Bytes of another object than the one begun would fit in nowhere.
    const same = ETag === undefined ? {} : { IfMatch: ETag };
    const found = await bucket.send(new GetObjectCommand({ ...place, ...rest, ...same }), {
      patience,
      signal,
    });
    if (found.ContentRange?.startsWith(`bytes ${start + received}-`)) return found.Body as Readable;
    (found.Body as Readable).destroy();
    throw new StoreUnavailable('S3 GetObject failed: the answer is not the range asked for');
  });
  return { stream, size: total, close: () => stream.destroy() };
}

function rangeOf(range: ByteRange | undefined): { Range?: string } {
  return range ? { Range: `bytes=${range.start}-${range.end}` } : {};
}

const maxBreaks = 5;
/** Bytes after which a connection counts as one that works, however the ones before ended. */
const worthwhile = 1 << 20;

export interface Resumption {
  /** Bytes. */
  readonly total: number;
  /** Milliseconds between two pieces that somebody waits for. */
  readonly patience: number;
}

/**
 * `total` bytes from one connection after the other: where one breaks or falls silent, the next goes on from there.
 *
 * @param open what follows the bytes received so far
 */
export function resuming(
  first: Readable,
  { total, patience }: Resumption,
  open: (received: number, signal: AbortSignal) => Promise<Readable>,
): Readable {
  const gone = new AbortController();
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
      gone.abort(new Error('nobody reads any more'));
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
      // Whoever reads slowly keeps it waiting, not the other way round.
      if (next.isPaused()) silence?.refresh();
      else broken(new Error(`no byte in ${patience} ms`));
    }, patience).unref();
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
        stream.destroy(new StoreUnavailable(`S3 sends more than the ${total} bytes asked for`));
      } else if (!stream.push(chunk)) next.pause();
    });
  };

  const resume = async (error?: Error): Promise<void> => {
    body = undefined;
    if (received - receivedAtBreak >= worthwhile) breaks = 0;
    receivedAtBreak = received;
    breaks += 1;
    try {
      if (breaks > maxBreaks) {
        const why = error?.message ?? 'the connection broke';
        throw new StoreUnavailable(`S3 GetObject failed after ${received} of ${total} bytes: ${why}`);
      }
      await delay(Math.random() * 50 * 2 ** breaks, undefined, { signal: gone.signal });
      const next = await open(received, gone.signal);
      if (stream.destroyed) next.destroy();
      else attach(next);
    } catch (failure) {
      if (!stream.destroyed) stream.destroy(failure as Error);
    }
  };

  attach(first);
  return stream;
}
