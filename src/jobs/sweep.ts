import type { Clock } from '../core/clock.ts';
import {
  fenceDeletion,
  fenceOrphan,
  findBytes,
  listDeletions,
  listUnheldBlobs,
  recordDeleted,
} from '../db/blobs.ts';
import type { Database } from '../db/database.ts';
import { claimUpload, deleteUpload, listExpiredUploads, uploadExists } from '../db/uploads.ts';
import { type BlobStore, blobKey, parseBlobKey } from '../storage/blob-store.ts';

/** What a sweep took away. */
export interface Swept {
  /** Upload sessions given up. */
  uploads: number;
  /** Staged files without a session, and blob files without a row. */
  orphans: number;
  /** Blobs that no repository held any more. */
  blobs: number;
}

export interface SweepParts {
  readonly database: Database;
  readonly store: BlobStore;
  readonly clock: Clock;
  /** Milliseconds without a request after which a session is given up. */
  readonly expireAfter: number;
  /** Milliseconds that a file without a row, or a blob without a repository, is left alone. */
  readonly grace: number;
}

const batch = 100;

/**
 * Takes away what nobody owns: expired upload sessions, files that a crash left without a row, blobs that the last repository
 * let go. What is in use is known from rows alone: a listing only proposes, and each deletion is decided in the database
 * first. Safe to kill anywhere, and to run in several processes.
 */
export async function sweep(parts: SweepParts, signal?: AbortSignal): Promise<Swept> {
  const swept = { uploads: 0, orphans: 0, blobs: 0 };
  await sweepUploads(parts, swept, signal);
  await sweepStagedFiles(parts, swept, signal);
  await fenceUnheldBlobs(parts, signal);
  await fenceOrphanFiles(parts, swept, signal);
  await carryOutDeletions(parts, swept, signal);
  return swept;
}

async function sweepUploads(
  { database, store, clock, expireAfter }: SweepParts,
  swept: Swept,
  signal?: AbortSignal,
) {
  for (;;) {
    const now = clock();
    const before = now - expireAfter;
    const ids = await listExpiredUploads(database.read, before, now, batch);
    for (const id of ids) {
      signal?.throwIfAborted();
      const ended = await database.transaction(async (db) => {
        // The claim keeps out a client that comes back at this moment; it finds the session gone.
        const row = await claimUpload(db, id, { writer: 'sweep', until: now, now });
        return row !== undefined && (await deleteUpload(db, id, 'sweep'));
      });
      if (!ended) continue;
      await store.abort(id);
      swept.uploads += 1;
    }
    if (ids.length < batch) return;
  }
}

async function sweepStagedFiles(
  { database, store, clock, grace }: SweepParts,
  swept: Swept,
  signal?: AbortSignal,
) {
  for await (const { name, modifiedAt } of store.listUploads()) {
    signal?.throwIfAborted();
    // A session's row is there before its file, so an old file without a row has lost its session for good.
    if (modifiedAt > clock() - grace || (await uploadExists(database.read, name))) continue;
    await store.abort(name);
    swept.orphans += 1;
  }
}

async function fenceUnheldBlobs({ database, clock, grace }: SweepParts, signal?: AbortSignal) {
  for (let after = ''; ; ) {
    const before = clock() - grace;
    const due = await listUnheldBlobs(database.read, before, after, batch);
    for (const { digest, generation } of due) {
      signal?.throwIfAborted();
      await database.transaction((db) => fenceDeletion(db, digest, generation, before));
      after = digest;
    }
    if (due.length < batch) return;
  }
}

/** Files that a crash between rename and commit left behind, and old generations that a crash kept from being deleted. */
async function fenceOrphanFiles(
  { database, store, clock, grace }: SweepParts,
  swept: Swept,
  signal?: AbortSignal,
) {
  for await (const { name, modifiedAt } of store.list()) {
    signal?.throwIfAborted();
    const parsed = parseBlobKey(name);
    if (parsed === undefined || modifiedAt > clock() - grace) continue;
    const { digest, generation } = parsed;
    const row = await findBytes(database.read, digest);
    if (row === undefined) {
      const fenced = await database.transaction((db) => fenceOrphan(db, digest, generation, clock()));
      if (fenced) swept.orphans += 1;
    } else if (generation < row.generation) {
      // New bytes go to later keys only, so nobody can come to want this one again.
      await store.delete(name);
      if (row.state !== 'deleting') swept.orphans += 1;
    }
  }
}

async function carryOutDeletions({ database, store }: SweepParts, swept: Swept, signal?: AbortSignal) {
  for (let after = ''; ; ) {
    const decided = await listDeletions(database.read, after, batch);
    for (const { digest, generation } of decided) {
      signal?.throwIfAborted();
      await store.delete(blobKey(digest, generation - 1));
      await database.transaction((db) => recordDeleted(db, digest, generation));
      swept.blobs += 1;
      after = digest;
    }
    if (decided.length < batch) return;
  }
}
