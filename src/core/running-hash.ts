import { createHash, type Hash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { type Digest, type DigestAlgorithm, digestOf } from '../oci/digest.ts';

/** The hash of an upload's bytes so far. */
export class RunningHash {
  readonly algorithm: DigestAlgorithm;
  readonly #hash: Hash;
  #size = 0;

  constructor(algorithm: DigestAlgorithm) {
    this.algorithm = algorithm;
    this.#hash = createHash(algorithm);
  }

  get size(): number {
    return this.#size;
  }

  update(chunk: Buffer): void {
    this.#hash.update(chunk);
    this.#size += chunk.length;
  }

  /** The digest of the bytes so far; more may follow. */
  digest(): Digest {
    return digestOf(this.algorithm, this.#hash.copy().digest('hex'));
  }

  static async of(algorithm: DigestAlgorithm, bytes: Readable): Promise<RunningHash> {
    const hash = new RunningHash(algorithm);
    for await (const chunk of bytes) hash.update(chunk as Buffer);
    return hash;
  }
}

/** The digest of bytes in memory. */
export function digestBytes(algorithm: DigestAlgorithm, bytes: Uint8Array): Digest {
  return digestOf(algorithm, createHash(algorithm).update(bytes).digest('hex'));
}
