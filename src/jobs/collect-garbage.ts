import type { Clock } from '../core/clock.ts';
import { type Decide, decideUnheld, findUnneededBlobs, removeUnneededBlobs } from '../core/reclaim.ts';
import { requireEpoch } from '../core/store-identity.ts';
import {
  countDueBlobs,
  type Deletion,
  listDeletions,
  recordDeleted,
  setBackUnheld,
} from '../db/blob-deletions.ts';
import { setBackReviews } from '../db/blob-reviews.ts';
import type { Database } from '../db/database.ts';
import { keepSchema } from '../db/migrate.ts';
import type { Db } from '../db/prepare.ts';
import { findProperty } from '../db/properties.ts';
import { deleteExpiredUpload, listExpiredUploads, setBackUploads, uploadExists } from '../db/uploads.ts';
import { type BlobKey, type BlobStore, blobKey, type StagedUpload } from '../storage/blob-store.ts';
import { concurrently } from '../storage/concurrently.ts';
import { findStored } from './measure.ts';
import { Pace, Rest } from './pace.ts';

/** What a garbage collection removed or deleted. */
export interface Collected {
  /** Expired upload sessions. */
  uploads: number;
  /** Staged files without a session. */
  orphans: number;
  /** Blobs removed from a repository whose manifests do not need them. */
  links: number;
  /** Blobs checked and kept in their repository, because a manifest needs them, or a client asked for them in the meantime. */
  kept: number;
  /** Blobs that no repository held. */
  blobs: number;
  /** Their bytes. */
  bytes: number;
  /** Interrupted commits whose parts the store had kept. */
  commits: number;
}

/** Limits of what a garbage collection deletes. */
export interface CollectionLimits {
  /** Blobs deleted in a second, at most; 0: as many as the store can. */
  readonly blobsPerSecond: number;
  /** Bytes deleted in a second, at most; 0: as many as the store can. */
  readonly bytesPerSecond: number;
  /** Percentage of the stored blobs; if more are due, a garbage collection deletes nothing and fails. */
  readonly maxPercent: number;
}

export interface GarbageCollectionParts {
  readonly database: Database;
  readonly store: BlobStore;
  readonly clock: Clock;
  /** Milliseconds without a request after which a session expires. */
  readonly expireAfter: number;
  /**
   * Milliseconds for which a file without a row, and a blob that no manifest or no repository needs, is kept. Must be much longer than the
   * clock of the store, which dates the files, may differ from the clock of the database. Too short a time loses no data: rows decide
   * what is deleted, and at worst a client has to repeat a push that conflicts with such a decision.
   */
  readonly grace: number;
  /** Milliseconds for which a blob without a row is kept after it was found. */
  readonly keepUnknown: number;
  readonly limits: CollectionLimits;
  /**
   * Raises the epoch of database and store, and returns it (see `core/store-epoch.ts`). Rejects if they do not agree; nothing is
   * deleted then.
   */
  readonly advanceEpoch: () => Promise<number>;
  /** Called with the counts at the end, even if garbage collection fails. */
  readonly report?: (collected: Collected) => void;
}

/** Why a garbage collection refuses to run: it is paused, the schema is being migrated, or more is due than `gc.maxPercent`. */
export type RefusalReason = 'paused' | 'migration' | 'limit';

/** Garbage collection refused to run, or to continue. */
export class CollectionRefused extends Error {
  readonly reason: RefusalReason;

  constructor(reason: RefusalReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

const batch = 100;
/** Deletions that a garbage collection carries out at the same time. */
const parallel = 8;

/**
 * Garbage collection: deletes expired upload sessions and remains of interrupted uploads, removes blobs from repositories whose manifests
 * do not need them, and deletes blobs that no repository holds. It reads only what is queued for it, and never lists the blobs of the
 * store (see `find-unknown-blobs.ts`).
 *
 * Rows say what is in use, so each deletion is first decided in the database, which must belong to the store. A garbage collection may
 * be killed at any point, and several may run at the same time: each decision is one conditional statement that succeeds in one process,
 * and deletions are idempotent. After a failed deletion garbage collection continues.
 *
 * @throws AggregateError at the end if files could not be deleted; CollectionRefused | StoreDisagrees | StoreMismatch
 */
export async function collectGarbage(
  parts: GarbageCollectionParts,
  signal?: AbortSignal,
): Promise<Collected> {
  const collected = { uploads: 0, orphans: 0, links: 0, kept: 0, blobs: 0, bytes: 0, commits: 0 };
  await refuseWhilePaused(parts.database.read);
  const guarded: Guarded = { ...parts, epoch: await parts.advanceEpoch() };
  const deletions = new Deletions(guarded);
  try {
    await setBackTimes(guarded);
    await deleteExpiredUploads(guarded, deletions, collected, signal);
    await deleteFilesWithoutSession(guarded, deletions, collected, signal);
    await decideCollection(guarded, collected, signal);
    await carryOutDeletions(guarded, deletions, collected, signal);
    collected.commits = await deletions.interruptedCommits(guarded.clock() - guarded.grace, signal);
  } finally {
    parts.report?.(collected);
  }
  deletions.throwFailures();
  return collected;
}

/** @throws CollectionRefused */
async function refuseWhilePaused(db: Db): Promise<void> {
  const reason = await findProperty(db, 'gc-paused');
  if (reason !== undefined) throw new CollectionRefused('paused', `garbage collection is paused: ${reason}`);
}

/** The parts of a garbage collection that began at `epoch`. */
interface Guarded extends GarbageCollectionParts {
  readonly epoch: number;
}

/**
 * Runs a transaction that decides a deletion. It fails if the database was replaced by an older copy since garbage collection began, or
 * has the schema of another version, whose rules of what is in use may be others.
 */
function decide<T>({ database, epoch }: Guarded, work: (db: Db) => Promise<T>): Promise<T> {
  return database.transaction(async (db) => {
    await requireEpoch(db, epoch);
    if (!(await keepSchema(db))) {
      throw new CollectionRefused(
        'migration',
        'another version of Berth migrates or has migrated the database',
      );
    }
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
    await setBackUnheld(db, now, now + maxAhead);
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

/** Removes unneeded blobs from repositories, and decides which are deleted; `carryOutDeletions` deletes their bytes. */
async function decideCollection(parts: Guarded, collected: Collected, signal?: AbortSignal): Promise<void> {
  const { database, clock, grace, keepUnknown, limits } = parts;
  const now = clock();
  const due = { reviewed: now - grace, parked: now - keepUnknown };
  const guarded: Decide = (work) => decide(parts, work);
  await refuseTooMuch(database.read, due.reviewed, limits.maxPercent);
  const rest = new Rest();
  const proceed = async (): Promise<void> => {
    signal?.throwIfAborted();
    await refuseWhilePaused(database.read);
    await rest.take(signal);
  };
  await proceed();
  for await (const { removed, kept } of removeUnneededBlobs(database.read, guarded, due.reviewed)) {
    collected.links += removed;
    collected.kept += kept;
    await proceed();
  }
  for await (const _ of decideUnheld(database.read, guarded, due)) await proceed();
}

/** Fewer blobs are always deleted, so that small registries are not stopped. */
const alwaysAllowed = 1_000;

/** @throws CollectionRefused */
async function refuseTooMuch(db: Db, reviewed: number, maxPercent: number): Promise<void> {
  const stored = (await findStored(db))?.blobs;
  if (stored === undefined) return;
  const allowed = Math.max(alwaysAllowed, Math.floor((stored * maxPercent) / 100));
  // Most of the queued blobs may still be needed, but a short queue needs no closer look.
  const { unheld, reviews } = await countDueBlobs(db, reviewed, allowed + 1);
  if (unheld + reviews <= allowed) return;
  let due = unheld;
  for await (const unneeded of findUnneededBlobs(db, reviewed)) {
    if (due > allowed) break;
    due += unneeded.length;
  }
  if (due <= allowed) return;
  throw new CollectionRefused(
    'limit',
    `garbage collection would delete ${due} or more of ${stored} blobs, but gc.maxPercent is ${maxPercent}; ` +
      'look at "berth gc plan", then run "berth gc run --max-percent 100"',
  );
}

/** Deletes the bytes of decided blobs. */
async function carryOutDeletions(
  parts: Guarded,
  deletions: Deletions,
  collected: Collected,
  signal?: AbortSignal,
): Promise<void> {
  const { database, limits } = parts;
  const pace = new Pace(limits);
  const rest = new Rest();
  for (let after = ''; ; ) {
    const decided = await listDeletions(database.read, after, batch);
    after = decided.at(-1)?.digest ?? after;
    const deleted: Deletion[] = [];
    await concurrently(decided, parallel, async (deletion) => {
      signal?.throwIfAborted();
      const { digest, generation, size } = deletion;
      await pace.spend(size, signal);
      if (await deletions.committed(blobKey(digest, generation - 1))) deleted.push(deletion);
    }).finally(async () => {
      if (deleted.length === 0) return;
      await decide(parts, async (db) => {
        for (const { digest, generation } of deleted) await recordDeleted(db, digest, generation);
      });
      collected.blobs += deleted.length;
      for (const { size } of deleted) collected.bytes += size;
    });
    if (decided.length < batch) return;
    await refuseWhilePaused(database.read);
    await rest.take(signal);
  }
}
