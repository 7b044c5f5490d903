import type { Clock } from '../core/clock.ts';
import { requireEpoch } from '../core/store-identity.ts';
import { decideDeletion, listDeletions, listUnheldBlobs, recordDeleted } from '../db/blob-deletions.ts';
import { setBackReviews } from '../db/blob-reviews.ts';
import { findBlobRow } from '../db/blobs.ts';
import type { Database } from '../db/database.ts';
import { parkBlob } from '../db/parked-blobs.ts';
import type { Db } from '../db/prepare.ts';
import { deleteExpiredUpload, listExpiredUploads, setBackUploads, uploadExists } from '../db/uploads.ts';
import {
  type BlobKey,
  type BlobStore,
  blobKey,
  parseBlobKey,
  type StagedUpload,
} from '../storage/blob-store.ts';

/** What a garbage collection deleted or parked. */
export interface Collected {
  /** Expired upload sessions. */
  uploads: number;
  /** Staged files without a session, and blob files of deleted generations. */
  orphans: number;
  /** Blob files without a row, recorded and kept for `keepUnknown`. */
  parked: number;
  /** Blobs that no repository held. */
  blobs: number;
  /** Interrupted commits whose parts the store had kept. */
  commits: number;
}

export interface GarbageCollectionParts {
  readonly database: Database;
  readonly store: BlobStore;
  readonly clock: Clock;
  /** Milliseconds without a request after which a session expires. */
  readonly expireAfter: number;
  /**
   * Milliseconds for which a file without a row, or a blob without a repository, is kept. Must be much longer than the clock of the
   * store, which dates the files, may differ from the clock of the database. Too short a time loses no data: rows decide what is
   * deleted, and at worst a client has to repeat a push that conflicts with such a decision.
   */
  readonly grace: number;
  /** Milliseconds for which a blob without a row is kept after it was found. */
  readonly keepUnknown: number;
  /**
   * Raises the epoch of database and store, and returns it (see `core/store-epoch.ts`). Rejects if they do not agree; nothing is
   * deleted or parked then.
   */
  readonly advanceEpoch: () => Promise<number>;
  /** Called with the counts at the end, even if garbage collection fails. */
  readonly report?: (collected: Collected) => void;
}

const batch = 100;

/**
 * Garbage collection: deletes expired upload sessions, remains of interrupted uploads and commits, and blobs that no repository
 * holds. Parks blobs without a row: an administrator has `keepUnknown` milliseconds to find out where they belong.
 *
 * A listing of the store only gives candidates. Rows say what is in use, so each deletion is first decided in the database, which
 * must belong to the store. A garbage collection may be killed at any point, and several may run at the same time: each decision is one
 * conditional statement that succeeds in one process, and deletions are idempotent. After a failed deletion garbage collection continues.
 *
 * @throws AggregateError at the end if files could not be deleted; StoreDisagrees | StoreMismatch
 */
export async function collectGarbage(
  parts: GarbageCollectionParts,
  signal?: AbortSignal,
): Promise<Collected> {
  const collected = { uploads: 0, orphans: 0, parked: 0, blobs: 0, commits: 0 };
  const guarded: Guarded = { ...parts, epoch: await parts.advanceEpoch() };
  const deletions = new Deletions(guarded);
  try {
    await setBackTimes(guarded);
    await deleteExpiredUploads(guarded, deletions, collected, signal);
    await deleteFilesWithoutSession(guarded, deletions, collected, signal);
    await parkUnknownBlobs(guarded, deletions, collected, signal);
    await decideDeletions(guarded, signal);
    await carryOutDeletions(guarded, deletions, collected, signal);
    collected.commits = await deletions.interruptedCommits(guarded.clock() - guarded.grace, signal);
  } finally {
    parts.report?.(collected);
  }
  deletions.throwFailures();
  return collected;
}

/** The parts of a garbage collection that began at `epoch`. */
interface Guarded extends GarbageCollectionParts {
  readonly epoch: number;
}

/** Runs a transaction that fails if the database was replaced by an older copy since garbage collection began. */
function decide<T>({ database, epoch }: Guarded, work: (db: Db) => Promise<T>): Promise<T> {
  return database.transaction(async (db) => {
    await requireEpoch(db, epoch);
    return work(db);
  });
}

/** Deletes files; collects failures and continues. */
class Deletions {
  readonly #store: BlobStore;
  readonly #check: () => Promise<void>;
  /** Only the first failures, because on a read-only disk each deletion fails. */
  readonly #failures: unknown[] = [];
  #failed = 0;

  constructor({ store, database, epoch }: Guarded) {
    this.#store = store;
    this.#check = () => requireEpoch(database.read, epoch);
  }

  upload(upload: StagedUpload): Promise<boolean> {
    return this.#attempt(() => this.#store.abort(upload));
  }

  staged(name: string): Promise<boolean> {
    return this.#attempt(() => this.#store.deleteStaged(name));
  }

  committed(key: BlobKey): Promise<boolean> {
    return this.#attempt(() => this.#store.delete(key));
  }

  /** Deletes the remains of interrupted commits that began before `before`; returns their number. */
  async interruptedCommits(before: number, signal?: AbortSignal): Promise<number> {
    let count = 0;
    await this.#attempt(async () => {
      count = (await this.#store.deleteInterruptedCommits?.(before, signal)) ?? 0;
    });
    signal?.throwIfAborted();
    return count;
  }

  throwFailures(): void {
    if (this.#failed === 0) return;
    const [first] = this.#failures as Error[];
    const message = `could not delete ${this.#failed} files; the first error: ${first?.message}`;
    throw new AggregateError(this.#failures, message);
  }

  async #attempt(deletion: () => Promise<void>): Promise<boolean> {
    await this.#check();
    try {
      await deletion();
      return true;
    } catch (error) {
      this.#failed += 1;
      if (this.#failures.length < batch) this.#failures.push(error);
      return false;
    }
  }
}

/** Milliseconds by which a recorded time may be ahead of the clock: longer than an upload's lease, shorter than the grace period. */
const maxAhead = 60_000;

/** Corrects times that were recorded while the clock was ahead, because their rows would be kept for too long. */
async function setBackTimes(parts: Guarded): Promise<void> {
  await decide(parts, async (db) => {
    const now = parts.clock();
    await setBackUploads(db, now, now + maxAhead);
    await setBackReviews(db, now, now + maxAhead);
  });
}

async function deleteExpiredUploads(
  parts: Guarded,
  deletions: Deletions,
  collected: Collected,
  signal?: AbortSignal,
) {
  const { database, clock, expireAfter } = parts;
  for (;;) {
    const now = clock();
    const before = now - expireAfter;
    const expired = await listExpiredUploads(database.read, before, now, batch);
    for (const { id } of expired) {
      signal?.throwIfAborted();
      // Checks again: the client may have continued since the listing.
      const ended = await decide(parts, (db) => deleteExpiredUpload(db, id, before, now));
      if (ended === undefined) continue;
      await deletions.upload(ended);
      collected.uploads += 1;
    }
    if (expired.length < batch) return;
  }
}

async function deleteFilesWithoutSession(
  { database, store, clock, grace }: Guarded,
  deletions: Deletions,
  collected: Collected,
  signal?: AbortSignal,
) {
  for await (const { name, upload, modifiedAt } of store.listUploads()) {
    signal?.throwIfAborted();
    // A session's row is written before its file, so an old file without a row will never have one.
    if (modifiedAt > clock() - grace || (await uploadExists(database.read, upload))) continue;
    if (await deletions.staged(name)) collected.orphans += 1;
  }
}

/** Decides the deletion of blobs that no repository holds; `carryOutDeletions` deletes their bytes. */
async function decideDeletions(parts: Guarded, signal?: AbortSignal) {
  const { database, clock, grace, keepUnknown } = parts;
  for (let after = ''; ; ) {
    const now = clock();
    const before = { reviewed: now - grace, parked: now - keepUnknown };
    const due = await listUnheldBlobs(database.read, before, after, batch);
    for (const { digest, generation } of due) {
      signal?.throwIfAborted();
      await decide(parts, (db) => decideDeletion(db, digest, generation, before));
      after = digest;
    }
    if (due.length < batch) return;
  }
}

/**
 * Parks blob files without a row, which a crash during a commit left, or which another database recorded. Deletes files of old
 * generations that a crash left.
 */
async function parkUnknownBlobs(
  parts: Guarded,
  deletions: Deletions,
  collected: Collected,
  signal?: AbortSignal,
) {
  const { database, store, clock, grace } = parts;
  for await (const { name, modifiedAt } of store.list()) {
    signal?.throwIfAborted();
    const parsed = parseBlobKey(name);
    if (parsed === undefined || modifiedAt > clock() - grace) continue;
    const { digest, generation } = parsed;
    const row = await findBlobRow(database.read, digest);
    if (row !== undefined && generation < row.generation) {
      // The deletion is already decided; `carryOutDeletions` deletes the file.
      if (row.state === 'deleting' && generation === row.generation - 1) continue;
      // New bytes get a later generation, so this key is never used again.
      if (await deletions.committed(name)) collected.orphans += 1;
    } else if (row === undefined || (generation === row.generation && row.state === 'deleted')) {
      const size = (await store.stat(name))?.size;
      if (size === undefined) continue;
      if (await decide(parts, (db) => parkBlob(db, { digest, size, generation }, clock())))
        collected.parked += 1;
    }
  }
}

async function carryOutDeletions(
  parts: Guarded,
  deletions: Deletions,
  collected: Collected,
  signal?: AbortSignal,
) {
  for (let after = ''; ; ) {
    const decided = await listDeletions(parts.database.read, after, batch);
    for (const { digest, generation } of decided) {
      signal?.throwIfAborted();
      after = digest;
      if (!(await deletions.committed(blobKey(digest, generation - 1)))) continue;
      await decide(parts, (db) => recordDeleted(db, digest, generation));
      collected.blobs += 1;
    }
    if (decided.length < batch) return;
  }
}
