import { type Digest, digestAlgorithm } from '../oci/digest.ts';
import { type BlobStore, blobKey, type OpenBlob } from '../storage/blob-store.ts';
import { streamBlob } from '../storage/stream-blob.ts';
import { RunningHash } from './running-hash.ts';

/** Why a blob's stored bytes are not those of its row. */
export interface BytesProblem {
  /** `blob-unreadable`: the read failed, and shows nothing about the bytes. Otherwise they are lost or damaged. */
  readonly kind: 'blob-missing' | 'blob-size' | 'blob-content' | 'blob-unreadable';
  readonly problem: string;
  /** Why the read failed. */
  readonly error?: unknown;
}

export interface CheckBytesOptions {
  /** False: compares only the size. */
  readonly readData?: boolean;
  /** Called for each chunk with its number of bytes, before the next one is read. */
  readonly onRead?: ((bytes: number) => Promise<void> | void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Compares a blob's stored bytes with the size and the digest of its row.
 *
 * @returns undefined if they are the same; the signal's reason is thrown
 */
export async function checkBytes(
  store: Pick<BlobStore, 'read' | 'stat'>,
  { digest, generation, size }: { digest: Digest; generation: number; size: number },
  { readData = true, onRead, signal }: CheckBytesOptions = {},
): Promise<BytesProblem | undefined> {
  const key = blobKey(digest, generation);
  try {
    const file = readData ? await store.read(key) : await store.stat(key);
    if (file === undefined) return { kind: 'blob-missing', problem: `${key} is missing` };
    // Read before the size is judged: what cannot be read shows nothing about the bytes.
    const actual = 'close' in file ? await digestOf(file, digest, { onRead, signal }) : digest;
    if (file.size !== size) {
      return { kind: 'blob-size', problem: `${key} has ${file.size} bytes, not ${size} as pushed` };
    }
    if (actual === digest) return undefined;
    return { kind: 'blob-content', problem: `the digest of ${key} is ${actual}` };
  } catch (error) {
    signal?.throwIfAborted();
    return { kind: 'blob-unreadable', problem: `cannot read ${key}: ${(error as Error).message}`, error };
  }
}

async function digestOf(
  file: OpenBlob,
  digest: Digest,
  { onRead, signal }: CheckBytesOptions,
): Promise<Digest> {
  const hash = new RunningHash(digestAlgorithm(digest));
  try {
    for await (const chunk of streamBlob(file)) {
      signal?.throwIfAborted();
      hash.update(chunk as Buffer);
      await onRead?.((chunk as Buffer).length);
    }
    return hash.digest();
  } finally {
    file.close();
  }
}
