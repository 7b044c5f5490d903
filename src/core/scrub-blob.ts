import { type Actor, recordChange } from '../db/changes.ts';
import { clearDamage, markDamaged } from '../db/damaged-blobs.ts';
import type { Database } from '../db/database.ts';
import { findStoredBlob, type StoredBlobRow } from '../db/fsck.ts';
import { asDigest } from '../oci/digest.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { type BytesProblem, type CheckBytesOptions, checkBytes } from './check-bytes.ts';

export interface ScrubBlobParts {
  readonly database: Database;
  readonly store: BlobStore;
  readonly by: Actor;
  /** Rejects if database and store do not belong together, as when another disk is mounted: then nothing is marked. */
  readonly checkStore: () => Promise<unknown>;
  /** False: only finds out. */
  readonly change?: boolean;
}

/**
 * What was found: `healed` if a marked blob has its right bytes again, `gone` if the blob was deleted meanwhile. `isDamaged` is false
 * for bytes that could not be read.
 */
export type Scrubbed =
  | 'intact'
  | 'healed'
  | 'gone'
  | { readonly isDamaged: boolean; readonly problem: string };

/**
 * Reads a blob and compares it with its digest. Marks it as damaged, or ends the mark, if its row is unchanged since then; otherwise
 * checks it again. Bytes that could not be read change no mark.
 *
 * @throws the signal's reason, or errors of the database and of `checkStore`
 */
export async function scrubBlob(
  { database, store, by, checkStore, change: isChanging = true }: ScrubBlobParts,
  found: StoredBlobRow,
  options: Pick<CheckBytesOptions, 'onRead' | 'signal'> = {},
): Promise<Scrubbed> {
  const digest = asDigest(found.digest);
  if (digest === undefined) return { isDamaged: false, problem: 'the digest in its row is invalid' };
  const { read, clock } = database;
  const check = (row: StoredBlobRow) => checkBytes(store, { ...row, digest }, options);
  for (
    let row: StoredBlobRow | undefined = found;
    row !== undefined;
    row = await findStoredBlob(read, digest)
  ) {
    const current = { ...row, digest };
    let problem = await check(row);
    // The bytes may have been damaged on their way, in memory or by a network. Only what is found twice is marked.
    if (isDamage(problem) && row.damaged_at === null) problem = await check(row);
    if (problem?.kind === 'blob-unreadable') return { isDamaged: false, problem: problem.problem };
    if (problem === undefined && row.damaged_at === null) return 'intact';
    if (problem !== undefined && row.damaged_at !== null) return { isDamaged: true, ...problem };
    if (!isChanging) return problem === undefined ? 'healed' : { isDamaged: true, ...problem };
    await checkStore();
    const [kind, change] =
      problem === undefined
        ? (['blob.healed', clearDamage] as const)
        : (['blob.damaged', markDamaged] as const);
    const isChanged = await database.transaction(async (db) => {
      const now = clock();
      if (!(await change(db, current, now))) return false;
      const detail = problem && { problem: problem.problem };
      await recordChange(db, by, { kind, newDigest: digest, detail }, now);
      return true;
    });
    if (isChanged) return problem === undefined ? 'healed' : { isDamaged: true, ...problem };
  }
  return 'gone';
}

function isDamage(problem: BytesProblem | undefined): boolean {
  return problem !== undefined && problem.kind !== 'blob-unreadable';
}
