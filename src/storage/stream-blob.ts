import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import type { OpenBlob } from './blob-store.ts';

/** The bytes of a blob that was opened whole, for reading them here; `http/` sends files without a stream. A file stays open. */
export function streamBlob(blob: OpenBlob): Readable {
  if ('stream' in blob) return blob.stream;
  return createReadStream('', { fd: blob.fd, start: 0, autoClose: false, highWaterMark: 1 << 20 });
}
