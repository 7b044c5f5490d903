// Reads a write-ahead log as https://www.sqlite.org/fileformat2.html#the_write_ahead_log describes it, without SQLite: that takes
// the first frame with a wrong checksum for the end, and says nothing of what comes behind it.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const headerSize = 32;
const frameHeaderSize = 24;
/** The last bit says in which byte order checksums are computed. */
const magic = 0x377f0682;

/**
 * What is wrong with the log at `path`, in words; `undefined`: nothing, as far as it can be known.
 *
 * @param patience milliseconds in which a writer, if there is one, has written the frames that it began
 */
export async function findWalDamage(path: string, patience = 200): Promise<string | undefined> {
  const damage = scan(path);
  if (damage === undefined) return undefined;
  // A frame that was being written has been written when it is looked at again.
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
    return size > headerSize ? 'the header of its log is damaged: SQLite ignores all of the log' : undefined;
  }
  const frame = Buffer.alloc(frameHeaderSize + pageSize);
  let damaged: number | undefined;
  let number = 0;
  let commits = 0;
  for (let at = headerSize; at + frame.length <= size; at += frame.length) {
    number += 1;
    readSync(fd, frame, 0, frame.length, at);
    // Frames of an earlier round of the log have other salts.
    const ours = frame.compare(header, 16, 24, 8, 16) === 0;
    if (damaged === undefined) {
      checksum.add(frame, 0, 8);
      checksum.add(frame, frameHeaderSize, frame.length);
      if (!ours || !checksum.is(frame, 16)) damaged = number;
    } else if (ours && frame.readUInt32BE(4) > 0) {
      // What was rolled back may lie behind the end, but no commit.
      commits += 1;
    }
  }
  if (commits === 0) return undefined;
  return `its log is damaged at frame ${damaged}: SQLite ignores that frame and all behind it, with ${commits} commits`;
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
