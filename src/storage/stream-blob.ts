import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import type { OpenBlob } from './blob-store.ts';

/** A stream of all bytes of an open blob; the caller still closes the blob. (`http/` sends files without a stream.) */
export function streamBlob(blob: OpenBlob): Readable {
  if ('stream' in blob) return blob.stream;
  return createReadStream('', { fd: blob.fd, start: 0, autoClose: false, highWaterMark: 1 << 20 });
}
