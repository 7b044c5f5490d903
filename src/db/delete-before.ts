import { sql } from 'kysely';
import { type Db, prepare } from './prepare.ts';
import type { Schema } from './schema.ts';

/** Deletes rows of a time before `before`, at most `limit`; resolves to their number. */
export type DeleteBefore = (db: Db, before: number, limit: number) => Promise<number>;

/** @param key the columns of the primary key @param time the column with the time */
export function deletesBefore(table: keyof Schema, key: readonly string[], time: string): DeleteBefore {
  const columns = sql.join(key.map((column) => sql.ref(column)));
  const run = prepare<{ before: number; limit: number }, { deleted: number }>((db, p) => {
    const query = sql<{ deleted: number }>`
      delete from ${sql.table(table)} where (${columns}) in (
        select ${columns} from ${sql.table(table)} where ${sql.ref(time)} < ${p('before')} limit ${p('limit')}
      ) returning 1 as deleted`;
    return { compile: () => query.compile(db) };
  });
  return async (db, before, limit) => (await run(db, { before, limit })).length;
}
