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
import { deleteExpiredUpload, listExpiredUploads, uploadExists } from '../db/uploads.ts';
import type { Digest } from '../oci/digest.ts';
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
  /** Staged files without a session, and blob files without a row. */
  orphans: number;
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
  /** Told what was taken, however the sweep ended. */
  readonly took?: (swept: Swept) => void;
}

const batch = 100;

/**
 * Takes away what nobody owns: expired upload sessions, files that a crash left without a row, blobs that the last repository
 * let go. What is in use is known from rows alone: a listing only proposes, and each deletion is decided in the database
 * first. Safe to kill anywhere, and to run in several processes at once: each decision is one conditional statement that one
 * of them wins, and each deletion may be done twice. A file that cannot be deleted does not keep the others.
 *
 * @throws AggregateError when files could not be deleted; all else was done. TooManyOrphans when the database looks older than
 *   the files
 */
export async function sweep(parts: SweepParts, signal?: AbortSignal): Promise<Swept> {
  const swept = { uploads: 0, orphans: 0, blobs: 0, commits: 0 };
  const deletions = new Deletions(parts.store);
  try {
    await sweepUploads(parts, deletions, swept, signal);
    await sweepStagedFiles(parts, deletions, swept, signal);
    await fenceOrphanFiles(parts, deletions, swept, signal);
    await fenceUnheldBlobs(parts, signal);
    await carryOutDeletions(parts, deletions, swept, signal);
  } finally {
    parts.took?.(swept);
  }
  deletions.throwFailures();
  return swept;
}

/** The database and the files do not belong together: no blob is deleted. */
export class TooManyOrphans extends Error {
  constructor(orphans: number, files: number) {
    super(
      `${orphans} of ${files} blob files are unknown to the database and were left alone: is it an older copy?`,
    );
    this.name = 'TooManyOrphans';
  }
}

/** Deletes files, and goes on when one cannot be. */
class Deletions {
  readonly #store: BlobStore;
  /** The first of them; a disk that takes no deletes at all would give as many as there are files. */
  readonly #failures: unknown[] = [];
  #failed = 0;

  constructor(store: BlobStore) {
    this.#store = store;
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

  throwFailures(): void {
    if (this.#failed === 0) return;
    const [first] = this.#failures as Error[];
    const message = `${this.#failed} files could not be deleted, the first because of ${first?.message}`;
    throw new AggregateError(this.#failures, message);
  }

  async #attempt(deletion: () => Promise<void>): Promise<boolean> {
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

async function sweepUploads(
  { database, clock, expireAfter }: SweepParts,
  deletions: Deletions,
  swept: Swept,
  signal?: AbortSignal,
) {
  for (;;) {
    const now = clock();
    const before = now - expireAfter;
    const expired = await listExpiredUploads(database.read, before, now, batch);
    for (const upload of expired) {
      signal?.throwIfAborted();
      // Its client may have come back since.
      if (!(await database.transaction((db) => deleteExpiredUpload(db, upload.id, before, now)))) continue;
      await deletions.upload(upload);
      swept.uploads += 1;
    }
    if (expired.length < batch) return;
  }
}

async function sweepStagedFiles(
  { database, store, clock, grace }: SweepParts,
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

/** Orphans that a sweep takes at most, the rest being the next one's. */
const maxOrphans = 10_000;
/** Crashes leave a few orphans. More than these, and more than a tenth of all files, are somebody's. */
const suspicious = 100;

/** Files that a crash between rename and commit left behind, and old generations that a crash kept from being deleted. */
async function fenceOrphanFiles(
  { database, store, clock, grace }: SweepParts,
  deletions: Deletions,
  swept: Swept,
  signal?: AbortSignal,
) {
  const orphans: { digest: Digest; generation: number }[] = [];
  let files = 0;
  let unknown = 0;
  for await (const { name, modifiedAt } of store.list()) {
    signal?.throwIfAborted();
    files += 1;
    const parsed = parseBlobKey(name);
    const before = clock() - grace;
    if (parsed === undefined || modifiedAt > before) continue;
    const { digest, generation } = parsed;
    const row = await findBytes(database.read, digest);
    if (row === undefined) {
      unknown += 1;
      if (orphans.length < maxOrphans) orphans.push(parsed);
    } else if (generation < row.generation) {
      // Decided already, and carried out with the other decisions.
      if (row.state === 'deleting' && generation === row.generation - 1) continue;
      // New bytes go to later keys only, so nobody can come to want this one again.
      if (await deletions.committed(name)) swept.orphans += 1;
    } else if (generation === row.generation && row.state === 'deleted') {
      // Pushed once more after its deletion, and never recorded.
      await database.transaction((db) => fenceDeletion(db, digest, generation, before));
    }
  }
  if (unknown > suspicious && unknown > files / 10) throw new TooManyOrphans(unknown, files);
  for (const { digest, generation } of orphans) {
    signal?.throwIfAborted();
    const fenced = await database.transaction((db) => fenceOrphan(db, digest, generation, clock()));
    if (fenced) swept.orphans += 1;
  }
}

async function carryOutDeletions(
  { database }: SweepParts,
  deletions: Deletions,
  swept: Swept,
  signal?: AbortSignal,
) {
  for (let after = ''; ; ) {
    const decided = await listDeletions(database.read, after, batch);
    for (const { digest, generation } of decided) {
      signal?.throwIfAborted();
      after = digest;
      if (!(await deletions.committed(blobKey(digest, generation - 1)))) continue;
      await database.transaction((db) => recordDeleted(db, digest, generation));
      swept.blobs += 1;
    }
    if (decided.length < batch) return;
  }
}
