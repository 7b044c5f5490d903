import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import type { OpenBlob } from './blob-store.ts';

/** All bytes of an open blob, for reading them in this process (`http/` sends files without a stream). Leaves a file open. */
export function streamBlob(blob: OpenBlob): Readable {
  if ('stream' in blob) return blob.stream;
  return createReadStream('', { fd: blob.fd, start: 0, autoClose: false, highWaterMark: 1 << 20 });
}
