import { findBlobRow } from '../db/blobs.ts';
import { type Actor, recordChange } from '../db/changes.ts';
import type { Database } from '../db/database.ts';
import { moveToGeneration, parkBlob } from '../db/parked-blobs.ts';
import type { Db } from '../db/prepare.ts';
import { type Digest, digestAlgorithm } from '../oci/digest.ts';
import { type BlobStore, blobKey, parseBlobKey } from '../storage/blob-store.ts';
import { streamBlob } from '../storage/stream-blob.ts';
import { RunningHash } from './running-hash.ts';
import { type Comparison, compare, explain, isMismatch, type Places, reconcile } from './store-identity.ts';
import { StoreMismatch } from './store-mismatch.ts';

export interface RepairParts {
  readonly database: Database;
  readonly store: BlobStore;
  readonly by: Actor;
  readonly places: Places;
  /** False: only counts what would be repaired. */
  readonly change: boolean;
}

export interface Repaired {
  /** The state that was found. */
  readonly before: Comparison;
  /** Number of blobs without a row, which were parked, and the sum of their bytes. */
  parked: number;
  bytes: number;
  /** Blobs whose row got the later generation under which the store has their bytes. */
  moved: number;
}

/**
 * Reconciles a database and a store when one of them is an older copy. Parks blobs without a row. Deletes nothing. Can be repeated.
 * @throws StoreMismatch if they do not belong to one registry
 */
export async function repair({ database, store, by, places, change }: RepairParts): Promise<Repaired> {
  const before = await compare(database.read, store);
  if (isMismatch(before.relation)) throw new StoreMismatch(explain(before, places));
  /** Changes a blob's row with `run` and records the change; false when the row has changed since it was read. */
  const changeRow = (newDigest: Digest, did: string, run: (db: Db) => Promise<boolean>): Promise<boolean> =>
    database.transaction(async (db) => {
      if (!(await run(db))) return false;
      await recordChange(db, by, { kind: 'registry.repair', newDigest, detail: { did } }, database.clock());
      return true;
    });
  const repaired: Repaired = { before, parked: 0, bytes: 0, moved: 0 };
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
      if (await hasBytes(store, { ...row, digest })) continue;
      if ((await digestIn(store, blob)) !== digest) continue;
      if (change && !(await changeRow(digest, 'move', (db) => moveToGeneration(db, blob)))) continue;
      repaired.moved += 1;
    } else {
      const park = (db: Db) => parkBlob(db, blob, database.clock());
      if (change && !(await changeRow(digest, 'park', park))) continue;
      repaired.parked += 1;
      repaired.bytes += size;
    }
  }
  if (change && before.relation !== 'agree') await reconcile(database, store, by, before);
  return repaired;
}

type Blob = NonNullable<ReturnType<typeof parseBlobKey>> & { readonly size: number };

async function hasBytes(store: BlobStore, { digest, generation, size }: Blob): Promise<boolean> {
  return (await store.stat(blobKey(digest, generation)))?.size === size;
}

async function digestIn(store: BlobStore, { digest, generation }: Blob): Promise<string | undefined> {
  const opened = await store.read(blobKey(digest, generation));
  if (opened === undefined) return undefined;
  try {
    return (await RunningHash.of(digestAlgorithm(digest), streamBlob(opened))).digest();
  } finally {
    opened.close();
  }
}
