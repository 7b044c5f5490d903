import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import type { BlobFile } from './blob-store.ts';

/** A blob's bytes from first to last, for reading them here; `http/` sends files without a stream. The file stays open. */
export function streamBlob({ fd }: BlobFile): Readable {
  return createReadStream('', { fd, start: 0, autoClose: false, highWaterMark: 1 << 20 });
}
