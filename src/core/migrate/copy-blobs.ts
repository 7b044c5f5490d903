import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { findBytes } from '../../db/blobs.ts';
import type { Database } from '../../db/database.ts';
import { everyStoredBlob, type StoredBlobRow } from '../../db/fsck.ts';
import { asDigest, type Digest, digestAlgorithm } from '../../oci/digest.ts';
import { type BlobKey, type BlobStore, blobKey, type OpenBlob } from '../../storage/blob-store.ts';
import { concurrently } from '../../storage/concurrently.ts';
import { streamBlob } from '../../storage/stream-blob.ts';
import { RunningHash } from '../running-hash.ts';

export interface CopyParts {
  readonly database: Database;
  readonly source: BlobStore;
  readonly target: BlobStore;
  readonly signal: AbortSignal;
  /** Told of what is done: bytes as they are written, and each blob, with the bytes that were there already. */
  readonly done: (done: { blobs?: number; bytes?: number }) => void;
  /** Told of a blob that cannot be copied. */
  readonly problem: (text: string) => void;
}

export interface Copied {
  /** Blobs that are in the target now. */
  blobs: number;
  /** Of these, those that were not there before, and their bytes. */
  copied: number;
  bytes: number;
  problems: number;
}

/** How many blobs are on their way at once: enough to hide the answers of a bucket, few enough for memory and disks. */
const atOnce = 8;
/** Milliseconds before a blob that failed is tried again. */
const pauses = [500, 3_000];
/** A store that fails so many blobs is away; what is left is for the next run. */
const maxFailures = 20;

/**
 * Copies the bytes of every stored blob, or of those in which somebody took an interest since `since`. What is wanted is known
 * from rows, never from a listing. A blob that is in the target with its size is done, so it can be interrupted and repeated.
 */
export async function copyBlobs(parts: CopyParts, since = 0): Promise<Copied> {
  const { database, signal, problem, done } = parts;
  const copied: Copied = { blobs: 0, copied: 0, bytes: 0, problems: 0 };
  let failures = 0;
  await concurrently(everyStoredBlob(database.read, since), atOnce, async (row) => {
    signal.throwIfAborted();
    let outcome: Outcome;
    try {
      outcome = await repeatedly(() => copyBlob(row, parts), signal);
    } catch (error) {
      signal.throwIfAborted();
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC' || ++failures >= maxFailures) throw error;
      outcome = { problem: `cannot be copied: ${(error as Error).message}` };
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

async function copyBlob(row: StoredBlobRow, parts: CopyParts): Promise<Outcome> {
  const { database, source, target } = parts;
  const digest = asDigest(row.digest);
  if (digest === undefined) return { problem: 'has no valid digest' };
  const key = blobKey(digest, row.generation);
  if ((await target.stat(key))?.size === row.size) return 'present';
  const bytes = await source.read(key);
  if (bytes === undefined) {
    // Its last repository may have let go of it since the page was read.
    const now = await findBytes(database.read, digest);
    const gone = now?.state !== 'stored' || now.generation !== row.generation;
    return gone ? 'gone' : { problem: `is missing: there is no ${key}` };
  }
  try {
    return await write(bytes, { key, digest, size: row.size }, parts);
  } finally {
    bytes.close();
  }
}

/** Streams the bytes to the target, and commits them only if they are those of the digest. */
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
    // What cannot be cleared away now is the sweeper's, once somebody serves from this store.
    await target.abort(upload).catch(() => {});
    throw error;
  }
  done({ bytes: -hash.size });
  await target.abort(upload);
  return { problem: `has other bytes, ${hash.size} of ${hash.digest()}` };
}

/** A store may be away for a moment; a full disk stays full. */
async function repeatedly<T>(run: () => Promise<T>, signal: AbortSignal): Promise<T> {
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
