import { requireEpoch } from '../core/store-identity.ts';
import { findBlobRow } from '../db/blobs.ts';
import { parkBlob } from '../db/parked-blobs.ts';
import { parseBlobKey } from '../storage/blob-store.ts';
import type { GarbageCollectionParts } from './collect-garbage.ts';

/** What a search for unknown blobs parked and deleted. */
export interface FoundBlobs {
  /** Blob files without a row, recorded and kept for `keepUnknown`. */
  parked: number;
  /** Blob files of deleted generations. */
  orphans: number;
}

export interface SearchParts
  extends Pick<GarbageCollectionParts, 'database' | 'store' | 'clock' | 'grace' | 'advanceEpoch'> {
  /** Called with the counts at the end, even if the search fails. */
  readonly report?: (found: FoundBlobs) => void;
}

/**
 * Lists the blob files of the store. Parks those without a row, which a crash during a commit left or another database recorded: an
 * administrator has `deletes.keepUnknownFor` to find out where they belong. Deletes files of old generations that a crash left.
 *
 * @throws StoreDisagrees | StoreMismatch; the errors of the store
 */
export async function findUnknownBlobs(parts: SearchParts, signal?: AbortSignal): Promise<FoundBlobs> {
  const { database, store, clock, grace, report } = parts;
  const epoch = await parts.advanceEpoch();
  const found: FoundBlobs = { parked: 0, orphans: 0 };
  try {
    for await (const { name, modifiedAt } of store.list()) {
      signal?.throwIfAborted();
      const parsed = parseBlobKey(name);
      if (parsed === undefined || modifiedAt > clock() - grace) continue;
      const { digest, generation } = parsed;
      const row = await findBlobRow(database.read, digest);
      if (row !== undefined && generation < row.generation) {
        // The deletion is already decided; garbage collection deletes the file.
        if (row.state === 'deleting' && generation === row.generation - 1) continue;
        // New bytes get a later generation, so this key is never used again.
        await requireEpoch(database.read, epoch);
        await store.delete(name);
        found.orphans += 1;
      } else if (row === undefined || (generation === row.generation && row.state === 'deleted')) {
        const size = (await store.stat(name))?.size;
        if (size === undefined) continue;
        const isParked = await database.transaction(async (db) => {
          await requireEpoch(db, epoch);
          return parkBlob(db, { digest, size, generation }, clock());
        });
        if (isParked) found.parked += 1;
      }
    }
  } finally {
    report?.(found);
  }
  return found;
}
