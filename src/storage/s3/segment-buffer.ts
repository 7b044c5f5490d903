import { crc32 } from 'node:zlib';

const smallest = 64 << 10;

/** Collects the bytes of a segment. Grows on demand: most uploads are small, and clients send small chunks. */
export class SegmentBuffer {
  /** Called with each change of the allocated memory, in bytes. */
  readonly #allocated: (bytes: number) => void;
  #buffer = Buffer.alloc(0);
  #size = 0;
  #crc = 0;

  constructor(allocated: (bytes: number) => void) {
    this.#allocated = allocated;
  }

  get size(): number {
    return this.#size;
  }

  append(chunk: Buffer): void {
    const needed = this.#size + chunk.length;
    const before = this.#buffer.length;
    if (needed > before) this.#grow(needed);
    chunk.copy(this.#buffer, this.#size);
    this.#size = needed;
    this.#crc = crc32(chunk, this.#crc);
    // Called last, because the callback may take the bytes.
    if (needed > before) this.#allocated(this.#buffer.length - before);
  }

  /** Returns the bytes, their CRC32 and the size of their memory, and starts an empty segment. */
  take(): { bytes: Buffer; crc: number; memory: number } {
    const taken = {
      bytes: this.#buffer.subarray(0, this.#size),
      crc: this.#crc,
      memory: this.#buffer.length,
    };
    this.#buffer = Buffer.alloc(0);
    this.#size = 0;
    this.#crc = 0;
    return taken;
  }

  /** Discards the bytes. */
  drop(): void {
    this.#allocated(-this.take().memory);
  }

  #grow(needed: number): void {
    let capacity = Math.max(smallest, this.#buffer.length);
    while (capacity < needed) capacity *= 2;
    const larger = Buffer.allocUnsafeSlow(capacity);
    this.#buffer.copy(larger, 0, 0, this.#size);
    this.#buffer = larger;
  }
}
