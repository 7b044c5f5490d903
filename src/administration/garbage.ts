// Garbage collection: its queues, and pausing it.
import { findUnneededBlobs } from '../core/reclaim.ts';
import {
  type DueBefore,
  findDue,
  listDueBlobs,
  type Queue,
  type UnheldBlob,
  unheldQueue,
} from '../db/blob-deletions.ts';
import { countLinks, reviewQueue } from '../db/blob-reviews.ts';
import type { Database } from '../db/database.ts';
import { listReleasedLeases } from '../db/leases.ts';
import { countParked } from '../db/parked-blobs.ts';
import { findProperty, setProperty } from '../db/properties.ts';
import { repositoryNames } from '../db/repositories.ts';
import { printName } from '../oci/hidden-name.ts';
import { type ActingDatabase, recording } from './change.ts';

/** State of garbage collection; times in milliseconds since 1970. */
export interface GarbageStatus {
  /** Why it is paused; null if it is not. */
  readonly paused: string | null;
  /** When it last ended, or was interrupted; null if never. */
  readonly lastRun: number | null;
  /** Blobs in repositories that wait for a check whether a manifest needs them. */
  readonly reviews: Queue;
  /** Blobs that no repository holds, and that wait for their deletion. */
  readonly unheld: Queue;
  /** Blobs without a row that were found in the store, and are kept for `deletes.keepUnknownFor`. */
  readonly parked: number;
}

/** Longer queues are not counted to their end. */
export const maxCounted = 100_000;

/** The state of the queues; each is counted up to {@link maxCounted}. */
export async function garbageStatus({ read }: Pick<Database, 'read'>): Promise<GarbageStatus> {
  const released = await listReleasedLeases(read);
  return {
    paused: (await findProperty(read, 'gc-paused')) ?? null,
    lastRun: released.find(({ name }) => name === 'gc')?.at ?? null,
    reviews: await reviewQueue(read, maxCounted),
    unheld: await unheldQueue(read, maxCounted),
    parked: await countParked(read),
  };
}

/** A blob that garbage collection would remove or delete. */
export interface PlannedRemoval {
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
  /** The repositories that would lose it. */
  readonly repositories: readonly string[];
  /** Whether its bytes would be deleted, because no other repository holds it. */
  readonly freesBytes: boolean;
}

/**
 * What a garbage collection would remove now, by the rules of `core/reclaim.ts`. Needs memory for all of it.
 */
export async function planCollection(
  { read }: Pick<Database, 'read'>,
  due: DueBefore,
): Promise<PlannedRemoval[]> {
  const repositories = new Map<string, number[]>();
  for await (const page of findUnneededBlobs(read, due.reviewed)) {
    for (const { digest, repository_id: id } of page) {
      const some = repositories.get(digest);
      if (some === undefined) repositories.set(digest, [id]);
      else some.push(id);
    }
  }
  for (let after: UnheldBlob | undefined; ; ) {
    const page = await listDueBlobs(read, due.reviewed, after, pageSize);
    for (const { digest } of page) if (!repositories.has(digest)) repositories.set(digest, []);
    after = page.at(-1);
    if (page.length < pageSize) break;
  }
  const planned: PlannedRemoval[] = [];
  const digests = [...repositories.keys()];
  for (let start = 0; start < digests.length; start += pageSize) {
    const slice = digests.slice(start, start + pageSize);
    const found = await findDue(read, slice, due);
    const links = await countLinks(read, slice);
    const names = await repositoryNames(read, [
      ...new Set(slice.flatMap((digest) => repositories.get(digest)!)),
    ]);
    for (const digest of slice) {
      const from = repositories.get(digest)!;
      const { size, isDue } = found.get(digest) ?? { size: 0, isDue: false };
      const freesBytes = isDue && (links.get(digest) ?? 0) === from.length;
      if (from.length > 0 || freesBytes)
        planned.push({
          digest,
          size,
          repositories: from.map((id) => printName(names.get(id) ?? String(id))),
          freesBytes,
        });
    }
  }
  return planned;
}

const pageSize = 500;

/** Pauses garbage collection in all replicas, with a reason for those who look at its state; a running one stops soon. */
export async function pauseCollection(database: ActingDatabase, reason: string): Promise<void> {
  await setPaused(database, reason);
}

/** Ends the pause. */
export async function resumeCollection(database: ActingDatabase): Promise<void> {
  await setPaused(database, undefined);
}

async function setPaused(database: ActingDatabase, reason: string | undefined): Promise<void> {
  await recording(database, async (db, record) => {
    const before = await setProperty(db, 'gc-paused', reason);
    if (before === reason) return;
    await (reason === undefined ? record('gc.resume') : record('gc.pause', { reason }));
  });
}
