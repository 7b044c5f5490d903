import { sql } from 'kysely';
import { type Db, type Params, prepare } from './prepare.ts';

/**
 * Makes a function that deletes a log's rows before a time, oldest first, at most `limit`, and returns their number. Keeps the last row,
 * because SQLite would give its id to the next one.
 */
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
          .where('id', '<', sql<number>`(select max(id) from ${sql.table(table)})`)
          // The order of the log's index.
          .orderBy('at')
          .orderBy('id')
          .limit(p('limit')),
      )
      .returning('id'),
  );
  return async (db, before, limit) => (await deleteOld(db, { before, limit })).length;
}
