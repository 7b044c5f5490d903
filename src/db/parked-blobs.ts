import { sql } from 'kysely';
import type { Digest } from '../oci/digest.ts';
import { jsonRows } from './dialect.ts';
import { type Db, type Params, prepare } from './prepare.ts';

const upsertParked = prepare(
  (db, p: Params<{ digest: string; size: number; generation: number; now: number }>) =>
    db
      .insertInto('blobs')
      .values({
        digest: p('digest'),
        size: p('size'),
        generation: p('generation'),
        state: 'stored',
        created_at: p('now'),
        review_at: p('now'),
        parked_at: p('now'),
        unheld_at: p('now'),
      })
      .onConflict((conflict) =>
        conflict
          .column('digest')
          .doUpdateSet({
            size: p('size'),
            generation: p('generation'),
            state: 'stored',
            review_at: p('now'),
            parked_at: p('now'),
            unheld_at: p('now'),
          })
          .where((where) =>
            where.or([
              where('blobs.generation', '<', p('generation')),
              where.and([
                where('blobs.generation', '=', p('generation')),
                where('blobs.state', '<>', 'stored'),
              ]),
            ]),
          ),
      )
      .returning('digest'),
);

/**
 * Records bytes without a row, so that they are kept for `deletes.keepUnknownFor`. They belong to no repository; a push of the same
 * digest makes them an ordinary blob. False when a row has been written meanwhile.
 */
export async function parkBlob(
  db: Db,
  blob: { digest: Digest; size: number; generation: number },
  now: number,
): Promise<boolean> {
  return (await upsertParked(db, { ...blob, now })).length > 0;
}

const upsertManyParked = prepare((db, p: Params<{ blobs: string; now: number }>) => {
  const given = jsonRows(db, p('blobs'), { digest: 'text', size: 'bigint' });
  const now = sql<number>`cast(${p('now')} as bigint)`;
  return db
    .insertInto('blobs')
    .columns(['digest', 'size', 'generation', 'state', 'created_at', 'review_at', 'parked_at', 'unheld_at'])
    .expression((select) =>
      select
        .selectFrom(sql<{ digest: string; size: number }>`(select * from ${given})`.as('found'))
        .select(['found.digest', 'found.size', sql<number>`0`.as('generation')])
        .select([
          sql<'stored'>`'stored'`.as('state'),
          now.as('created'),
          now.as('reviewed'),
          now.as('parked'),
          now.as('unheld'),
        ])
        // Without WHERE, SQLite reads ON CONFLICT as the condition of a join.
        .where(sql<boolean>`true`),
    )
    .onConflict((conflict) =>
      conflict
        .column('digest')
        .doUpdateSet((row) => ({ size: row.ref('excluded.size') }))
        .where('blobs.generation', '=', 0)
        .where('blobs.parked_at', 'is not', null)
        .whereRef('blobs.size', '<>', 'excluded.size'),
    );
});

/** {@link parkBlob} for many blobs of generation 0. Also corrects the size of those that are parked already. */
export async function parkBlobs(
  db: Db,
  blobs: readonly { readonly digest: Digest; readonly size: number }[],
  now: number,
): Promise<void> {
  await upsertManyParked(db, { blobs: JSON.stringify(blobs), now });
}

const raiseGeneration = prepare((db, p: Params<{ digest: string; size: number; generation: number }>) =>
  db
    .updateTable('blobs')
    .set({ size: p('size'), generation: p('generation'), damaged_at: null })
    .where('digest', '=', p('digest'))
    .where('state', '=', 'stored')
    .where('generation', '<', p('generation'))
    .returning('digest'),
);

/** Raises a stored blob's generation to that of its bytes. After an older database was restored, the bytes can be newer than the row. */
export async function moveToGeneration(
  db: Db,
  blob: { digest: Digest; size: number; generation: number },
): Promise<boolean> {
  return (await raiseGeneration(db, blob)).length > 0;
}

const countAllParked = prepare((db) =>
  db
    .selectFrom('blobs')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('parked_at', 'is not', null),
);

/** Number of parked blobs. */
export async function countParked(db: Db): Promise<number> {
  return Number((await countAllParked(db, {}))[0]?.count ?? 0);
}

const selectAnyRow = prepare((db) => db.selectFrom('blobs').select('digest').limit(1));

/** Whether the database has, or ever had, a blob. */
export async function knowsBlobs(db: Db): Promise<boolean> {
  return (await selectAnyRow(db, {})).length > 0;
}
