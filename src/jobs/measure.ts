import { sumBlobs } from '../db/blobs.ts';
import type { Database } from '../db/database.ts';
import { nextTurn } from '../db/next-turn.ts';
import type { Db } from '../db/prepare.ts';
import { findProperty, noteProperty } from '../db/properties.ts';

/** What the store holds, each blob counted once. */
export interface Stored {
  readonly blobs: number;
  readonly bytes: number;
}

/** Rows summed at a time: a millisecond or so of SQLite. */
const slice = 2_000;

/** Sums up all stored blobs, and keeps the sums for {@link findStored}: nobody who asks often should make the database count. */
export async function measure(
  { database }: { readonly database: Database },
  signal: AbortSignal,
): Promise<Stored> {
  const sum = { blobs: 0, bytes: 0 };
  for (let after: string | null = ''; after !== null; ) {
    signal.throwIfAborted();
    const { last, blobs, bytes } = await sumBlobs(database.read, after, slice);
    sum.blobs += blobs;
    sum.bytes += bytes;
    after = last;
    // SQLite answers at once, so that awaiting it alone lets no request in.
    await nextTurn();
  }
  await database.transaction((db) => noteProperty(db, 'stored', JSON.stringify(sum)), { durable: false });
  return sum;
}

/** What was measured last; `undefined` before the first time. */
export async function findStored(db: Db): Promise<Stored | undefined> {
  const value = await findProperty(db, 'stored');
  return value === undefined ? undefined : (JSON.parse(value) as Stored);
}
