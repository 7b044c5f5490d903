// Last pulls of manifests, and the numbers of pulls a day.
import { sql } from 'kysely';
import { deletesBefore } from './delete-before.ts';
import { inJsonIds, jsonRows } from './dialect.ts';
import { type Db, type Params, prepare } from './prepare.ts';

const given = (db: Db, counts: Parameters<typeof jsonRows>[1]) =>
  sql<{
    id: number;
    pulls: number;
  }>`(select * from ${jsonRows(db, counts, { id: 'bigint', pulls: 'bigint' })})`;

const upsertPulls = prepare((db, p: Params<{ counts: string; now: number }>) =>
  db
    .insertInto('manifest_pulls')
    .columns(['manifest_id', 'pulled_at', 'pulls'])
    .expression(
      db
        .selectFrom(given(db, p('counts')).as('given'))
        // Deleted manifests are left out.
        .innerJoin('manifests', 'manifests.id', 'given.id')
        .select(['given.id', sql<number>`cast(${p('now')} as bigint)`.as('now'), 'given.pulls'])
        // SQLite would take 'on conflict' for the join's condition.
        .where(sql<boolean>`true`)
        // In one order, so that two processes do not deadlock.
        .orderBy('given.id'),
    )
    .onConflict((conflict) =>
      conflict.column('manifest_id').doUpdateSet({
        // A clock may have been set back.
        pulled_at: sql`case when excluded.pulled_at > manifest_pulls.pulled_at then excluded.pulled_at else manifest_pulls.pulled_at end`,
        pulls: sql`manifest_pulls.pulls + excluded.pulls`,
      }),
    ),
);

const upsertDays = prepare((db, p: Params<{ counts: string; day: number }>) =>
  db
    .insertInto('pull_days')
    .columns(['repository_id', 'day', 'pulls'])
    .expression(
      db
        .selectFrom(given(db, p('counts')).as('given'))
        .innerJoin('manifests', 'manifests.id', 'given.id')
        .select([
          'manifests.repository_id',
          sql<number>`cast(${p('day')} as bigint)`.as('day'),
          sql<number>`cast(sum(given.pulls) as bigint)`.as('pulls'),
        ])
        .where(sql<boolean>`true`)
        .groupBy('manifests.repository_id')
        .orderBy('manifests.repository_id'),
    )
    .onConflict((conflict) =>
      conflict
        .columns(['repository_id', 'day'])
        .doUpdateSet({ pulls: sql`pull_days.pulls + excluded.pulls` }),
    ),
);

/** Milliseconds. */
const day = 86_400_000;

/** Adds pulls of manifests, by row id, with the time `now`. */
export async function addPulls(
  db: Db,
  pulls: readonly (readonly [manifest: number, count: number])[],
  now: number,
): Promise<void> {
  const counts = JSON.stringify(pulls.map(([id, pulls]) => ({ id, pulls })));
  await upsertPulls(db, { counts, now });
  await upsertDays(db, { counts, day: now - (now % day) });
}

const selectLast = prepare((db, p: Params<{ ids: string }>) =>
  db
    .selectFrom('manifest_pulls')
    .select(['manifest_id', 'pulled_at'])
    .where('manifest_id', 'in', inJsonIds(db, p('ids'))),
);

/** When these manifests were last pulled themselves, by row id; absent: never. */
export async function findOwnPulls(db: Db, ids: readonly number[]): Promise<Map<number, number>> {
  const rows = await selectLast(db, { ids: JSON.stringify(ids) });
  return new Map(rows.map(({ manifest_id, pulled_at }) => [manifest_id, pulled_at]));
}

/** A child of an index, with its last pull; null: never, or not held. */
export interface ChildPull {
  readonly manifest_id: number;
  readonly digest: string;
  readonly pulled_at: number | null;
}

const selectChildren = prepare(
  (db, p: Params<{ ids: string; manifest: number; digest: string; limit: number }>) =>
    db
      .selectFrom('manifest_references as needed')
      .leftJoin('manifests as child', (join) =>
        join
          .onRef('child.repository_id', '=', 'needed.repository_id')
          .onRef('child.digest', '=', 'needed.digest'),
      )
      .leftJoin('manifest_pulls', 'manifest_pulls.manifest_id', 'child.id')
      .select(['needed.manifest_id', 'needed.digest', 'manifest_pulls.pulled_at'])
      .where('needed.manifest_id', 'in', inJsonIds(db, p('ids')))
      .where('needed.kind', '=', 'child')
      .where(sql<boolean>`(needed.manifest_id, needed.digest) > (${p('manifest')}, ${p('digest')})`)
      .orderBy('needed.manifest_id')
      .orderBy('needed.digest')
      .limit(p('limit')),
);

/** The children of these indexes after a position, by index and digest, at most `limit`. */
export function listChildPulls(
  db: Db,
  indexes: readonly number[],
  after: Pick<ChildPull, 'manifest_id' | 'digest'> | undefined,
  limit: number,
): Promise<ChildPull[]> {
  const { manifest_id: manifest, digest } = after ?? { manifest_id: 0, digest: '' };
  const ids = JSON.stringify(indexes.filter((id) => id >= manifest));
  return selectChildren(db, { ids, manifest, digest, limit });
}

/** Deletes the numbers of days that began before a time, at most `limit`; returns how many. */
export const deletePullDays = deletesBefore('pull_days', ['repository_id', 'day'], 'day');
