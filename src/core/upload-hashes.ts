import { LRUCache } from 'lru-cache';
import type { UploadRow } from '../db/uploads.ts';
import type { Digest, DigestAlgorithm } from '../oci/digest.ts';
import { type BlobStore, type StagedUpload, UploadLost } from '../storage/blob-store.ts';
import { RunningHash } from './running-hash.ts';

const maxRunningHashes = 10_000;

/** Caches the running hashes of the most recently used upload sessions. A missing hash is recomputed from the staged bytes. */
export class UploadHashes {
  readonly #store: Pick<BlobStore, 'readUpload'>;
  // With `max`, the cache would allocate the memory for all entries now.
  readonly #hashes = new LRUCache<string, RunningHash>({
    maxSize: maxRunningHashes,
    sizeCalculation: () => 1,
  });

  constructor(store: Pick<BlobStore, 'readUpload'>) {
    this.#store = store;
  }

  /** The hash of exactly the bytes recorded in the row. @throws UploadLost if other bytes are staged */
  async of(row: UploadRow): Promise<RunningHash> {
    const { id, size, algorithm, digest } = row;
    const cached = this.#hashes.get(id);
    // Also compares the digest: another replica may have received different bytes of the same length.
    if (cached?.size === size && cached.algorithm === algorithm && cached.digest() === digest) return cached;
    let hash = new RunningHash(algorithm);
    if (size > 0) {
      hash = await RunningHash.of(algorithm, await this.#store.readUpload(row));
      // After a power cut the staged file may have the recorded length but other bytes.
      if (hash.digest() !== digest) throw new UploadLost(id, size);
    }
    this.#hashes.set(id, hash);
    return hash;
  }

  /** The digest in `algorithm`. Reads the staged bytes again if the session was hashed with another algorithm. */
  async digest(hash: RunningHash, upload: StagedUpload, algorithm: DigestAlgorithm): Promise<Digest> {
    if (hash.algorithm === algorithm) return hash.digest();
    if (hash.size === 0) return new RunningHash(algorithm).digest();
    return (await RunningHash.of(algorithm, await this.#store.readUpload(upload))).digest();
  }

  forget(id: string): void {
    this.#hashes.delete(id);
  }
}
