import fs from 'node:fs';
import type { Readable } from 'node:stream';
import type { OpenBlob } from './blob-store.ts';

/** A stream of all bytes of an open blob; the caller still closes the blob. (`http/` sends files without a stream.) */
export function streamBlob(blob: OpenBlob): Readable {
  if ('stream' in blob) return blob.stream;
  return fs.createReadStream('', {
    fd: blob.fd,
    start: 0,
    autoClose: false,
    highWaterMark: 1 << 20,
    fs: leftOpen,
  });
}

/** A stream that ends early closes its file even without `autoClose`, and then the caller would close another file with that number. */
const leftOpen = {
  read: fs.read,
  close: (_fd: number, done: (error: null) => void) => done(null),
};
