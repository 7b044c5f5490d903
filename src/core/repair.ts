import { findBlobRow } from '../db/blobs.ts';
import { type Actor, recordChange } from '../db/changes.ts';
import type { Database } from '../db/database.ts';
import { everyStoredBlob } from '../db/fsck.ts';
import { moveToGeneration, parkBlob } from '../db/parked-blobs.ts';
import type { Db } from '../db/prepare.ts';
import { recountUsage } from '../db/usage.ts';
import type { Digest } from '../oci/digest.ts';
import { type BlobStore, parseBlobKey } from '../storage/blob-store.ts';
import { checkBytes } from './check-bytes.ts';
import { wrongUsage } from './fsck/usage.ts';
import { scrubBlob } from './scrub-blob.ts';
import { type Comparison, compare, explain, isMismatch, type Places, reconcile } from './store-identity.ts';
import { StoreMismatch } from './store-mismatch.ts';

export interface RepairParts {
  readonly database: Database;
  readonly store: BlobStore;
  readonly by: Actor;
  readonly places: Places;
  /** False: only counts what would be repaired. */
  readonly change: boolean;
  /** Reads every blob, marks those with missing or wrong bytes as damaged, and ends the marks of those with the right bytes. */
  readonly readData?: boolean;
}

export interface Repaired {
  /** The state that was found. */
  readonly before: Comparison;
  /** Number of blobs without a row, which were parked, and the sum of their bytes. */
  parked: number;
  bytes: number;
  /** Blobs whose row got the later generation under which the store has their bytes. */
  moved: number;
  /** Repositories and namespaces whose usage was counted again. */
  recounted: number;
  /** With `readData`: all damaged blobs, and those whose mark ended. */
  damaged: number;
  healed: number;
}

/**
 * Reconciles a database and a store when one of them is an older copy. Parks blobs without a row. Corrects the usage. Deletes nothing. Can be repeated.
 * @throws StoreMismatch if they do not belong to one registry
 */
export async function repair(parts: RepairParts): Promise<Repaired> {
  const { database, store, by, places, change } = parts;
  const before = await compare(database.read, store);
  if (isMismatch(before.relation)) throw new StoreMismatch(explain(before, places));
  /** Changes a blob's row with `run` and records the change; false when the row has changed since it was read. */
  const changeRow = (newDigest: Digest, did: string, run: (db: Db) => Promise<boolean>): Promise<boolean> =>
    database.transaction(async (db) => {
      if (!(await run(db))) return false;
      await recordChange(db, by, { kind: 'registry.repair', newDigest, detail: { did } }, database.clock());
      return true;
    });
  const repaired: Repaired = { before, parked: 0, bytes: 0, moved: 0, recounted: 0, damaged: 0, healed: 0 };
  for await (const _ of wrongUsage(database.read)) repaired.recounted += 1;
  if (change && repaired.recounted > 0) await recount(database, by);
  for await (const { name } of store.list()) {
    const parsed = parseBlobKey(name);
    if (parsed === undefined) continue;
    const { digest, generation } = parsed;
    const row = await findBlobRow(database.read, digest);
    const isNewer = row === undefined || generation > row.generation;
    if (!isNewer && !(generation === row.generation && row.state === 'deleted')) continue;
    const size = (await store.stat(name))?.size;
    if (size === undefined) continue;
    const blob = { digest, size, generation };
    if (row?.state === 'stored') {
      if (await isIntact(store, { ...row, digest }, { readData: false })) continue;
      if (!(await isIntact(store, blob))) continue;
      if (change && !(await changeRow(digest, 'move', (db) => moveToGeneration(db, blob)))) continue;
      repaired.moved += 1;
    } else {
      const park = (db: Db) => parkBlob(db, blob, database.clock());
      if (change && !(await changeRow(digest, 'park', park))) continue;
      repaired.parked += 1;
      repaired.bytes += size;
    }
  }
  if (parts.readData) await markBlobs(parts, repaired);
  if (change && before.relation !== 'agree') await reconcile(database, store, by, before);
  return repaired;
}

async function recount(database: Database, by: Actor): Promise<void> {
  await database.transaction(async (db) => {
    await recountUsage(db);
    await recordChange(db, by, { kind: 'registry.repair', detail: { did: 'usage' } }, database.clock());
  });
}

async function markBlobs({ database, store, by, change }: RepairParts, repaired: Repaired): Promise<void> {
  for await (const row of everyStoredBlob(database.read)) {
    // `repair` has compared database and store.
    const scrubbed = await scrubBlob({ database, store, by, change, checkStore: async () => {} }, row);
    if (scrubbed === 'healed') repaired.healed += 1;
    if (typeof scrubbed === 'object' && scrubbed.isDamaged) repaired.damaged += 1;
  }
}

/** @throws the error of a failed read */
async function isIntact(...given: Parameters<typeof checkBytes>): Promise<boolean> {
  const found = await checkBytes(...given);
  if (found?.kind === 'blob-unreadable') throw found.error;
  return found === undefined;
}
