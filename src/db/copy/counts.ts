import { sql } from 'kysely';
import type { Db } from '../prepare.ts';
import { leftBehind, tables } from './tables.ts';

export async function countRows(db: Db, table: string): Promise<number> {
  const { rows } = await sql<{ rows: number }>`select count(*) as rows from ${sql.table(table)}`.execute(db);
  return Number(rows[0]?.rows ?? 0);
}

/** Whether all tables of a registry are empty. */
export async function isEmpty(db: Db): Promise<boolean> {
  for (const { name } of tables) {
    const { rows } = await sql`select 1 from ${sql.table(name)} limit 1`.execute(db);
    if (rows.length > 0) return false;
  }
  return true;
}

/** Deletes sessions, leases and counts of former processes. */
export async function clearLeftBehind(db: Db): Promise<void> {
  for (const name of leftBehind) {
    if (name !== 'properties') await sql`delete from ${sql.table(name)}`.execute(db);
  }
}
