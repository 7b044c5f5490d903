// Checks a write-ahead log (https://www.sqlite.org/fileformat2.html#the_write_ahead_log) without SQLite, which takes the first frame
// with a wrong checksum for the end and silently ignores all later ones.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const headerSize = 32;
const frameHeaderSize = 24;
/** The last bit is the byte order of the checksums. */
const magic = 0x377f0682;

/**
 * Describes the damage of the log at `path`; `undefined` if none was found.
 *
 * @param patience milliseconds in which a running writer completes a frame
 */
export async function findWalDamage(path: string, patience = 200): Promise<string | undefined> {
  const damage = scan(path);
  if (damage === undefined) return undefined;
  // A frame that was being written is complete at the second scan.
  await delay(patience);
  return scan(path) === damage ? damage : undefined;
}

function scan(path: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return scanFrames(fd, fstatSync(fd).size);
  } finally {
    closeSync(fd);
  }
}

function scanFrames(fd: number, size: number): string | undefined {
  if (size < headerSize) return undefined;
  const header = Buffer.alloc(headerSize);
  readSync(fd, header, 0, headerSize, 0);
  const bigEndian = (header.readUInt32BE(0) & 1) === 1;
  const pageSize = header.readUInt32BE(8);
  const checksum = new Checksum(bigEndian);
  checksum.add(header, 0, 24);
  if ((header.readUInt32BE(0) & ~1) !== magic || !checksum.is(header, 24)) {
    return size > headerSize
      ? 'the header of the write-ahead log is damaged: SQLite ignores the whole log'
      : undefined;
  }
  const frame = Buffer.alloc(frameHeaderSize + pageSize);
  let damaged: number | undefined;
  let number = 0;
  let commits = 0;
  for (let at = headerSize; at + frame.length <= size; at += frame.length) {
    number += 1;
    readSync(fd, frame, 0, frame.length, at);
    // Frames from before the last reset of the log have other salts.
    const ours = frame.compare(header, 16, 24, 8, 16) === 0;
    if (damaged === undefined) {
      checksum.add(frame, 0, 8);
      checksum.add(frame, frameHeaderSize, frame.length);
      if (!ours || !checksum.is(frame, 16)) damaged = number;
    } else if (ours && frame.readUInt32BE(4) > 0) {
      // Rolled back frames may follow the end of a sound log, but no commit.
      commits += 1;
    }
  }
  if (commits === 0) return undefined;
  return `the write-ahead log is damaged at frame ${damaged}: SQLite ignores this and all later frames, with ${commits} commits`;
}

/** The running checksum of header and frames: two 32-bit sums over pairs of words. */
class Checksum {
  readonly #bigEndian: boolean;
  #one = 0;
  #two = 0;

  constructor(bigEndian: boolean) {
    this.#bigEndian = bigEndian;
  }

  /** @param start a multiple of 8 bytes before `end` */
  add(bytes: Buffer, start: number, end: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    for (let at = start; at < end; at += 8) {
      this.#one = (this.#one + view.getUint32(at, !this.#bigEndian) + this.#two) >>> 0;
      this.#two = (this.#two + view.getUint32(at + 4, !this.#bigEndian) + this.#one) >>> 0;
    }
  }

  /** Whether the sums are the ones stored at `at`. */
  is(bytes: Buffer, at: number): boolean {
    return this.#one === bytes.readUInt32BE(at) && this.#two === bytes.readUInt32BE(at + 4);
  }
}
