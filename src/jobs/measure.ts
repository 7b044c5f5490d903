import { sumBlobs } from '../db/blobs.ts';
import type { Database } from '../db/database.ts';
import { nextTurn } from '../db/next-turn.ts';
import type { Db } from '../db/prepare.ts';
import { findProperty, noteProperty } from '../db/properties.ts';

/** Number and size of the stored blobs, each counted once. */
export interface Stored {
  readonly blobs: number;
  readonly bytes: number;
}

/** Rows summed at a time: about a millisecond in SQLite. */
const batch = 2_000;

/** Counts all stored blobs and records the sums for {@link findStored}: counting them for each scrape would be too slow. */
export async function measure(
  { database }: { readonly database: Database },
  signal: AbortSignal,
): Promise<Stored> {
  const sum = { blobs: 0, bytes: 0 };
  for (let after: string | null = ''; after !== null; ) {
    signal.throwIfAborted();
    const { last, blobs, bytes } = await sumBlobs(database.read, after, batch);
    sum.blobs += blobs;
    sum.bytes += bytes;
    after = last;
    // SQLite answers synchronously, so requests run only if this loop yields.
    await nextTurn();
  }
  await database.transaction((db) => noteProperty(db, 'stored', JSON.stringify(sum)), { durable: false });
  return sum;
}

/** The last measurement; `undefined` before the first one. */
export async function findStored(db: Db): Promise<Stored | undefined> {
  const value = await findProperty(db, 'stored');
  return value === undefined ? undefined : (JSON.parse(value) as Stored);
}
