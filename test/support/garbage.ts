import { advanceEpoch } from '../../src/core/store-identity.ts';
import type { Database } from '../../src/db/database.ts';
import type { GarbageCollectionParts } from '../../src/jobs/collect-garbage.ts';
import type { BlobStore } from '../../src/storage/blob-store.ts';

/** Parts of a garbage collection for a test's database and store; blobs without a row are kept for `keepUnknown` milliseconds. */
export function collectionParts(
  database: Database,
  store: BlobStore,
  keepUnknown = 0,
): Pick<GarbageCollectionParts, 'database' | 'store' | 'keepUnknown' | 'limits' | 'advanceEpoch'> {
  const places = { database: 'the database', store: 'the store' };
  const limits = { blobsPerSecond: 0, bytesPerSecond: 0, maxPercent: 100 };
  return { database, store, keepUnknown, limits, advanceEpoch: () => advanceEpoch(database, store, places) };
}
