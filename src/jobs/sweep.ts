import type { Clock } from '../core/clock.ts';
import { requireEpoch } from '../core/store-identity.ts';
import {
  fenceDeletion,
  findBytes,
  listDeletions,
  listUnheldBlobs,
  parkBlob,
  recordDeleted,
  setBackReviews,
} from '../db/blobs.ts';
import type { Database } from '../db/database.ts';
import type { Db } from '../db/prepare.ts';
import { deleteExpiredUpload, listExpiredUploads, setBackUploads, uploadExists } from '../db/uploads.ts';
import {
  type BlobKey,
  type BlobStore,
  blobKey,
  parseBlobKey,
  type StagedUpload,
} from '../storage/blob-store.ts';

/** What a sweep took away. */
export interface Swept {
  /** Upload sessions given up. */
  uploads: number;
  /** Staged files without a session, and blob files of generations that were deleted. */
  orphans: number;
  /** Blob files without a row, which were recorded to be kept for now. */
  parked: number;
  /** Blobs that no repository held any more. */
  blobs: number;
  /** Commits that died half-way, where the store has kept their parts. */
  commits: number;
}

export interface SweepParts {
  readonly database: Database;
  readonly store: BlobStore;
  readonly clock: Clock;
  /** Milliseconds without a request after which a session is given up. */
  readonly expireAfter: number;
  /**
   * Milliseconds that a file without a row, or a blob without a repository, is left alone. A file's age is by the store's clock
   * and the age allowed by the database's, so it should be long beside what the two differ. It only spares pushes: what is
   * deleted is decided by rows, and a push that such a decision crosses is told to try again.
   */
  readonly grace: number;
  /** Milliseconds for which bytes that no row knew are kept after they were found. */
  readonly keepUnknown: number;
  /**
   * The epoch that database and store have in common, raised just now (see `core/store-epoch.ts`). Rejects when they have none:
   * then nothing is swept.
   */
  readonly advanceEpoch: () => Promise<number>;
  /** Told what was taken, however the sweep ended. */
  readonly took?: (swept: Swept) => void;
}

const batch = 100;

/**
 * Takes away what nobody owns: expired upload sessions, what a crash left of uploads and commits, blobs that the last repository let go. A blob
 * that no row knows is parked: recorded, and kept for long enough to find out whose it is. What is in use is known from rows
 * alone: a listing only proposes, and each deletion is decided in the database first, which must be the one that the store
 * belongs to. Safe to kill anywhere, and to run in several processes at once: each decision is one conditional statement that one
 * of them wins, and each deletion may be done twice. A file that cannot be deleted does not keep the others.
 *
 * @throws AggregateError when files could not be deleted; all else was done. StoreDisagrees | StoreMismatch
 */
export async function sweep(parts: SweepParts, signal?: AbortSignal): Promise<Swept> {
  const swept = { uploads: 0, orphans: 0, parked: 0, blobs: 0, commits: 0 };
  const agreed: Agreed = { ...parts, epoch: await parts.advanceEpoch() };
  const deletions = new Deletions(agreed);
  try {
    await setBackTimes(agreed);
    await sweepUploads(agreed, deletions, swept, signal);
    await sweepStagedFiles(agreed, deletions, swept, signal);
    await parkUnknownBlobs(agreed, deletions, swept, signal);
    await fenceUnheldBlobs(agreed, signal);
    await carryOutDeletions(agreed, deletions, swept, signal);
    swept.commits = await deletions.deadCommits(agreed.clock() - agreed.grace, signal);
  } finally {
    parts.took?.(swept);
  }
  deletions.throwFailures();
  return swept;
}

interface Agreed extends SweepParts {
  readonly epoch: number;
}

/** A transaction of the database that agreed with the store, and of no older copy that was put in its place since. */
function decide<T>({ database, epoch }: Agreed, work: (db: Db) => Promise<T>): Promise<T> {
  return database.transaction(async (db) => {
    await requireEpoch(db, epoch);
    return work(db);
  });
}

/** Deletes files, and goes on when one cannot be. */
class Deletions {
  readonly #store: BlobStore;
  readonly #check: () => Promise<void>;
  /** The first of them; a disk that takes no deletes at all would give as many as there are files. */
  readonly #failures: unknown[] = [];
  #failed = 0;

  constructor({ store, database, epoch }: Agreed) {
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

  /** Gives up the commits that died before `before`, and says how many. */
  async deadCommits(before: number, signal?: AbortSignal): Promise<number> {
    let count = 0;
    await this.#attempt(async () => {
      count = (await this.#store.reap?.(before, signal)) ?? 0;
    });
    signal?.throwIfAborted();
    return count;
  }

  throwFailures(): void {
    if (this.#failed === 0) return;
    const [first] = this.#failures as Error[];
    const message = `${this.#failed} files could not be deleted, the first because of ${first?.message}`;
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

/** Milliseconds by which a time may be ahead of the clock: more than any lease of an upload, less than what anybody waits for. */
const maxAhead = 60_000;

/** What a clock wrote that was ahead, and has been set right since, would stay for as long as it was ahead. */
async function setBackTimes(parts: Agreed): Promise<void> {
  await decide(parts, async (db) => {
    const now = parts.clock();
    await setBackUploads(db, now, now + maxAhead);
    await setBackReviews(db, now, now + maxAhead);
  });
}

async function sweepUploads(parts: Agreed, deletions: Deletions, swept: Swept, signal?: AbortSignal) {
  const { database, clock, expireAfter } = parts;
  for (;;) {
    const now = clock();
    const before = now - expireAfter;
    const expired = await listExpiredUploads(database.read, before, now, batch);
    for (const { id } of expired) {
      signal?.throwIfAborted();
      // Its client may have come back since.
      const ended = await decide(parts, (db) => deleteExpiredUpload(db, id, before, now));
      if (ended === undefined) continue;
      await deletions.upload(ended);
      swept.uploads += 1;
    }
    if (expired.length < batch) return;
  }
}

async function sweepStagedFiles(
  { database, store, clock, grace }: Agreed,
  deletions: Deletions,
  swept: Swept,
  signal?: AbortSignal,
) {
  for await (const { name, upload, modifiedAt } of store.listUploads()) {
    signal?.throwIfAborted();
    // A session's row is there before its file, so an old file without a row has lost its session for good.
    if (modifiedAt > clock() - grace || (await uploadExists(database.read, upload))) continue;
    if (await deletions.staged(name)) swept.orphans += 1;
  }
}

async function fenceUnheldBlobs(parts: Agreed, signal?: AbortSignal) {
  const { database, clock, grace, keepUnknown } = parts;
  for (let after = ''; ; ) {
    const now = clock();
    const before = { reviewed: now - grace, parked: now - keepUnknown };
    const due = await listUnheldBlobs(database.read, before, after, batch);
    for (const { digest, generation } of due) {
      signal?.throwIfAborted();
      await decide(parts, (db) => fenceDeletion(db, digest, generation, before));
      after = digest;
    }
    if (due.length < batch) return;
  }
}

/**
 * Files that a crash between rename and commit left behind, or that another database knows of; and old generations that a crash
 * kept from being deleted.
 */
async function parkUnknownBlobs(parts: Agreed, deletions: Deletions, swept: Swept, signal?: AbortSignal) {
  const { database, store, clock, grace } = parts;
  for await (const { name, modifiedAt } of store.list()) {
    signal?.throwIfAborted();
    const parsed = parseBlobKey(name);
    if (parsed === undefined || modifiedAt > clock() - grace) continue;
    const { digest, generation } = parsed;
    const row = await findBytes(database.read, digest);
    if (row !== undefined && generation < row.generation) {
      // Decided already, and carried out with the other decisions.
      if (row.state === 'deleting' && generation === row.generation - 1) continue;
      // New bytes go to later keys only, so nobody can come to want this one again.
      if (await deletions.committed(name)) swept.orphans += 1;
    } else if (row === undefined || (generation === row.generation && row.state === 'deleted')) {
      const size = (await store.stat(name))?.size;
      if (size === undefined) continue;
      if (await decide(parts, (db) => parkBlob(db, { digest, size, generation }, clock()))) swept.parked += 1;
    }
  }
}

async function carryOutDeletions(parts: Agreed, deletions: Deletions, swept: Swept, signal?: AbortSignal) {
  for (let after = ''; ; ) {
    const decided = await listDeletions(parts.database.read, after, batch);
    for (const { digest, generation } of decided) {
      signal?.throwIfAborted();
      after = digest;
      if (!(await deletions.committed(blobKey(digest, generation - 1)))) continue;
      await decide(parts, (db) => recordDeleted(db, digest, generation));
      swept.blobs += 1;
    }
    if (decided.length < batch) return;
  }
}
