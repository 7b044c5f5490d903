import type { Database } from '../db/database.ts';
import { readOnlyReason } from '../db/read-only.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { asRegistryError } from './faults.ts';
import { sharedFor } from './shared-for.ts';

/** What {@link readinessCheck} returns. */
export interface Ready {
  /** Why the registry is read-only; `undefined` when it accepts writes. */
  readonly readOnly: string | undefined;
}

/**
 * Returns a function that checks that the database and the blob store answer. Unless the registry is read-only, it also checks
 * that they accept writes, because a file system that became read-only still answers reads. Calls within a second share a check.
 * The function rejects with the error of the database or the store. A full disk is no error: pushes fail, but pulls still work.
 */
export function readinessCheck(database: Database, store: BlobStore): () => Promise<Ready> {
  return sharedFor(1_000, async () => {
    const readOnly = await readOnlyReason(database.read);
    const write = readOnly === undefined;
    const answers = await Promise.allSettled([database.ping({ write }), store.ping({ write })]);
    for (const answer of answers) {
      if (answer.status === 'rejected' && asRegistryError(answer.reason).code !== 'STORAGE_FULL') {
        throw answer.reason;
      }
    }
    return { readOnly };
  });
}
