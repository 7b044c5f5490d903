import type { Digest } from '../oci/digest.ts';
import type { StoredBlobRow } from './fsck.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';

/** A row as it was before the blob's bytes were read. */
export type ReadRow = Pick<StoredBlobRow, 'generation' | 'review_at'> & { readonly digest: Digest };

const mark = prepare((db, p: Params<ReadRow & { now: number }>) =>
  unchanged(db, p)
    .set({ damaged_at: p('now') })
    .where('damaged_at', 'is', null),
);

const clear = prepare((db, p: Params<ReadRow>) =>
  unchanged(db, p).set({ damaged_at: null }).where('damaged_at', 'is not', null),
);

/** Each push of the digest sets `review_at`, so that new bytes are never marked for what was read before them. */
function unchanged(db: Db, p: Params<ReadRow>) {
  return db
    .updateTable('blobs')
    .where('digest', '=', p('digest'))
    .where('generation', '=', p('generation'))
    .where('review_at', '=', p('review_at'))
    .where('state', '=', 'stored')
    .returning('digest');
}

/** Marks a blob as damaged. False if its row has changed since `row` was read, or if it is marked already. */
export async function markDamaged(
  db: Db,
  { digest, generation, review_at }: ReadRow,
  now: number,
): Promise<boolean> {
  return (await mark(db, { digest, generation, review_at, now })).length > 0;
}

/** Ends the mark of {@link markDamaged}. False if the row has changed since `row` was read, or if it is not marked. */
export async function clearDamage(db: Db, { digest, generation, review_at }: ReadRow): Promise<boolean> {
  return (await clear(db, { digest, generation, review_at })).length > 0;
}

const select = prepare((db, p: Params<{ limit: number }>) =>
  db
    .selectFrom('blobs')
    .select(['digest', 'size', 'damaged_at'])
    .where('damaged_at', 'is not', null)
    .orderBy('digest')
    .limit(p('limit')),
);

/** A damaged blob; `damaged_at` in milliseconds since 1970. */
export interface DamagedBlob {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly damaged_at: number;
}

/** The first `limit` damaged blobs, in the order of their digests. */
export function listDamaged(db: Db, limit: number): Promise<DamagedBlob[]> {
  return select(db, { limit }) as Promise<DamagedBlob[]>;
}

const count = prepare((db, p: Params<{ limit: number }>) =>
  db
    .selectFrom((some) =>
      some
        .selectFrom('blobs')
        .select('digest')
        .where('damaged_at', 'is not', null)
        .limit(p('limit'))
        .as('some'),
    )
    .select((select) => select.fn.countAll<number>().as('count')),
);

/** Number of damaged blobs, counted up to `limit`. */
export async function countDamaged(db: Db, limit: number): Promise<number> {
  return Number((await first(count(db, { limit })))?.count ?? 0);
}
