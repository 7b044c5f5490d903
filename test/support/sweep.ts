import { advanceEpoch } from '../../src/core/store-identity.ts';
import type { Database } from '../../src/db/database.ts';
import type { SweepParts } from '../../src/jobs/sweep.ts';
import type { BlobStore } from '../../src/storage/blob-store.ts';

/** Sweep options for a test's database and store; blobs without a row are kept for `keepUnknown` milliseconds. */
export function sweepable(
  database: Database,
  store: BlobStore,
  keepUnknown = 0,
): Pick<SweepParts, 'database' | 'store' | 'keepUnknown' | 'advanceEpoch'> {
  const places = { database: 'the database', store: 'the store' };
  return { database, store, keepUnknown, advanceEpoch: () => advanceEpoch(database, store, places) };
}
