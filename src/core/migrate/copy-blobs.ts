import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { findBlobRow } from '../../db/blobs.ts';
import type { Database } from '../../db/database.ts';
import { everyStoredBlob, type StoredBlobRow } from '../../db/fsck.ts';
import { asDigest, type Digest, digestAlgorithm } from '../../oci/digest.ts';
import { type BlobKey, type BlobStore, blobKey, type OpenBlob } from '../../storage/blob-store.ts';
import { concurrently } from '../../storage/concurrently.ts';
import { streamBlob } from '../../storage/stream-blob.ts';
import { RunningHash } from '../running-hash.ts';

export interface CopyParts {
  readonly database: Pick<Database, 'read'>;
  readonly source: BlobStore;
  readonly target: BlobStore;
  readonly signal: AbortSignal;
  /** Reports progress: bytes, as they are written or found in the target, and finished blobs. */
  readonly done: (done: { blobs?: number; bytes?: number }) => void;
  /** Reports a blob that cannot be copied. */
  readonly problem: (text: string) => void;
}

/** A stored blob of a row. */
export type CopiedBlob = Pick<StoredBlobRow, 'digest' | 'size' | 'generation'>;

export interface Copied {
  /** Blobs in the target. */
  blobs: number;
  /** Newly copied blobs, and their bytes. */
  copied: number;
  bytes: number;
  problems: number;
}

/** Blobs copied concurrently: enough to hide the latency of a bucket, few enough for memory and disks. */
const concurrency = 8;
/** Milliseconds before each retry of a failed blob. */
const pauses = [500, 3_000];
/** After this many failed blobs the store is considered unavailable; the next run copies the rest. */
const maxFailures = 20;

/**
 * Copies the bytes of these stored blobs, by default of all. Blobs are found by rows, never by a listing. A blob that the target
 * has with the right size is not copied again, so a run can be interrupted and repeated.
 */
export async function copyBlobs(
  parts: CopyParts,
  blobs: AsyncIterable<CopiedBlob> = everyStoredBlob(parts.database.read),
): Promise<Copied> {
  const { signal, problem, done } = parts;
  const copied: Copied = { blobs: 0, copied: 0, bytes: 0, problems: 0 };
  let failures = 0;
  await concurrently(blobs, concurrency, async (row) => {
    signal.throwIfAborted();
    let outcome: Outcome;
    try {
      outcome = await withRetries(() => copyBlob(row, parts), signal);
    } catch (error) {
      signal.throwIfAborted();
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC' || ++failures >= maxFailures) throw error;
      outcome = { problem: `could not be copied: ${(error as Error).message}` };
    }
    if (typeof outcome === 'object') {
      copied.problems += 1;
      problem(`blob ${row.digest} ${outcome.problem}`);
    } else if (outcome !== 'gone') {
      copied.blobs += 1;
      if (outcome === 'copied') {
        copied.copied += 1;
        copied.bytes += row.size;
      } else done({ bytes: row.size });
    }
    done({ blobs: 1 });
  });
  return copied;
}

type Outcome = 'present' | 'copied' | 'gone' | { readonly problem: string };

async function copyBlob(row: CopiedBlob, parts: CopyParts): Promise<Outcome> {
  const { database, source, target } = parts;
  const digest = asDigest(row.digest);
  if (digest === undefined) return { problem: 'has an invalid digest' };
  const key = blobKey(digest, row.generation);
  if ((await target.stat(key))?.size === row.size) return 'present';
  const bytes = await source.read(key);
  if (bytes === undefined) {
    // Since the row was read, the last repository that held the blob may have removed it.
    const now = await findBlobRow(database.read, digest);
    const gone = now?.state !== 'stored' || now.generation !== row.generation;
    return gone ? 'gone' : { problem: `is missing: ${key} does not exist` };
  }
  try {
    return await write(bytes, { key, digest, size: row.size }, parts);
  } finally {
    bytes.close();
  }
}

/** Streams the bytes to the target, and commits them only if their digest is right. */
async function write(
  bytes: OpenBlob,
  { key, digest, size }: { key: BlobKey; digest: Digest; size: number },
  { target, signal, done }: CopyParts,
): Promise<Outcome> {
  const hash = new RunningHash(digestAlgorithm(digest));
  const tap = (chunk: Buffer): void => {
    hash.update(chunk);
    done({ bytes: chunk.length });
  };
  let upload = { id: randomUUID(), size: 0, staged: '' };
  try {
    const { interrupted, ...staged } = await target.append(upload, streamBlob(bytes), { tap, signal });
    upload = { ...upload, ...staged };
    if (interrupted) throw interrupted;
    if (hash.digest() === digest && upload.size === size) {
      await target.commit(upload, key);
      await target.abort(upload).catch(() => {});
      return 'copied';
    }
  } catch (error) {
    done({ bytes: -hash.size });
    // If this fails, garbage collection deletes the bytes once the store is in use.
    await target.abort(upload).catch(() => {});
    throw error;
  }
  done({ bytes: -hash.size });
  await target.abort(upload);
  return { problem: `is damaged: its ${hash.size} bytes have the digest ${hash.digest()}` };
}

/** Retries, as a store may be unavailable for a moment; but not on a full disk, which stays full. */
async function withRetries<T>(run: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (const pause of pauses) {
    try {
      return await run();
    } catch (error) {
      signal.throwIfAborted();
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') throw error;
    }
    await delay(pause, undefined, { signal });
  }
  return run();
}
