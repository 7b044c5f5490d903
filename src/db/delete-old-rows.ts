import { type Db, type Params, prepare } from './prepare.ts';

/** Deletes rows of a log from before a time, oldest first, `limit` at most; how many. Its index is on `at` and `id`. */
export function deletionOfOldRows(
  table: 'audit_events' | 'changes',
): (db: Db, before: number, limit: number) => Promise<number> {
  const deleteOld = prepare((db, p: Params<{ before: number; limit: number }>) =>
    db
      .deleteFrom(table)
      .where('id', 'in', (some) =>
        some
          .selectFrom(table)
          .select('id')
          .where('at', '<', p('before'))
          .orderBy('at')
          .orderBy('id')
          .limit(p('limit')),
      )
      .returning('id'),
  );
  return async (db, before, limit) => (await deleteOld(db, { before, limit })).length;
}
