import { stat } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { Kysely } from 'kysely';
import { type BrokenForeignKey, type Inspection, maxProblems } from '../inspection.ts';
import { requireCurrentSchema } from '../migrate.ts';
import type { Schema } from '../schema.ts';
import { damageOf } from './damage.ts';
import { SqliteConnection, sqliteDialect } from './dialect.ts';
import { findWalDamage } from './wal-damage.ts';

/** @throws Error when there is no file at `path`; SchemaMismatch for another version's schema; EmptyDatabase without one */
export async function inspectSqlite(path: string): Promise<Inspection> {
  // SQLite's own error for a missing file would only be 'unable to open database file'.
  await stat(path);
  const problems: string[] = [];
  const logDamage = await findWalDamage(`${path}-wal`);
  if (logDamage !== undefined) problems.push(logDamage);
  const database = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
  const connection = new SqliteConnection(database);
  const read = new Kysely<Schema>({ dialect: sqliteDialect(connection, { busyTimeout: 0 }) });
  try {
    await requireCurrentSchema(read);
  } catch (error) {
    const damage = damageOf(error);
    if (damage === undefined) {
      database.close();
      throw error;
    }
    problems.push(damage);
  }
  return {
    read,
    clock: Date.now,
    async snapshot(work) {
      // Not `immediate`, which would take the lock of the writer. The first read chooses the state that all others see.
      connection.all('begin', []);
      try {
        return await work(read);
      } finally {
        connection.all('rollback', []);
      }
    },
    async integrityProblems() {
      if (problems.length > 0) return problems;
      const rows = connection.all(`pragma integrity_check(${maxProblems})`, []);
      return (rows as { integrity_check: string }[])
        .map((row) => row.integrity_check)
        .filter((text) => text !== 'ok');
    },
    async brokenForeignKeys() {
      return connection.all(
        `select broken."table", broken.rowid as "row", key."from" as "column", broken.parent
         from pragma_foreign_key_check as broken
         join pragma_foreign_key_list(broken."table") as key on key.id = broken.fkid
         limit ?`,
        [maxProblems],
      ) as BrokenForeignKey[];
    },
    async close() {
      database.close();
    },
  };
}
