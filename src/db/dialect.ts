import type {
  ColumnBuilderCallback,
  ColumnDataType,
  Expression,
  Kysely,
  RawBuilder,
  SelectQueryBuilder,
} from 'kysely';
import { PostgresAdapter, sql } from 'kysely';
import type { ColumnType } from './columns.ts';

/** Differences between the two databases that Kysely does not hide. */

// biome-ignore lint/suspicious/noExplicitAny: the dialect of a handle does not depend on its schema
type Handle = Kysely<any>;

export function isPostgres(db: Handle): boolean {
  return db.getExecutor().adapter instanceof PostgresAdapter;
}

/** Type and modifiers of a generated key. Keys are never reused, as other tables may still contain them. */
export function identity(db: Handle): [ColumnDataType, ColumnBuilderCallback] {
  return isPostgres(db)
    ? ['bigint', (column) => column.primaryKey().generatedAlwaysAsIdentity()]
    : ['integer', (column) => column.primaryKey().autoIncrement()];
}

export function blobType(db: Handle): ColumnDataType {
  return isPostgres(db) ? 'bytea' : 'blob';
}

/** Text that sorts by its bytes, as the spec requires for tags; SQLite's default. */
export function byteOrderedText(db: Handle): ColumnDataType | RawBuilder<unknown> {
  return isPostgres(db) ? sql`text collate "C"` : 'text';
}

/** A list as one parameter (JSON text), so that the statement does not depend on its length. */
export function inJsonList(db: Handle, list: Expression<string>): RawBuilder<string> {
  return isPostgres(db)
    ? sql`(select jsonb_array_elements_text(cast(${list} as jsonb)))`
    : sql`(select value from json_each(${list}))`;
}

/** {@link inJsonList} for `from`: each entry is the `value` of a row. */
export function jsonList(db: Handle, list: Expression<string>): RawBuilder<{ value: string }> {
  return isPostgres(db)
    ? sql`(select value from jsonb_array_elements_text(cast(${list} as jsonb)) as given(value))`
    : sql`(select value from json_each(${list}))`;
}

/** Locks the found rows against deletion until the transaction ends; SQLite has only one writer. */
export function lockAgainstDeletion<DB, TB extends keyof DB, O>(
  db: Handle,
  query: SelectQueryBuilder<DB, TB, O>,
): SelectQueryBuilder<DB, TB, O> {
  return isPostgres(db) ? query.forKeyShare() : query;
}

/** {@link inJsonList} for ids. */
export function inJsonIds(db: Handle, list: Expression<string>): RawBuilder<number> {
  return isPostgres(db)
    ? sql`(select cast(jsonb_array_elements_text(cast(${list} as jsonb)) as bigint))`
    : sql`(select value from json_each(${list}))`;
}

/** Rows as one parameter (JSON text: a list of objects), for `from`; bytes are `\x` and hex, as in PostgreSQL. */
export function jsonRows(
  db: Handle,
  list: Expression<string>,
  columns: Readonly<Record<string, ColumnType>>,
): RawBuilder<unknown> {
  const entries = Object.entries(columns);
  if (isPostgres(db)) {
    const types = entries.map(([name, type]) => sql`${sql.ref(name)} ${sql.raw(postgresTypes[type])}`);
    return sql`jsonb_to_recordset(cast(${list} as jsonb)) as given(${sql.join(types)})`;
  }
  const values = entries.map(([name, type]) => {
    const value = sql`value ->> ${sql.lit(name)}`;
    return sql`${type === 'bytes' ? sql`unhex(substr(${value}, 3))` : value} as ${sql.ref(name)}`;
  });
  return sql`(select ${sql.join(values)} from json_each(${list})) as given`;
}

const postgresTypes: Readonly<Record<ColumnType, string>> = {
  bigint: 'bigint',
  text: 'text',
  bytes: 'bytea',
};

/** SQL that an INSERT with given ids needs before its rows. */
export function keepingIds(db: Handle): RawBuilder<unknown> {
  return isPostgres(db) ? sql`overriding system value` : sql``;
}

/** The highest id ever generated, including deleted rows. */
export async function highestId(db: Handle, table: string): Promise<number> {
  const query = isPostgres(db)
    ? sql<{
        id: number;
      }>`select case when is_called then last_value else 0 end as id from ${sql.ref(`${table}_id_seq`)}`
    : // A table without AUTOINCREMENT has no entry there, and keeps its last row.
      sql<{ id: number }>`
        select max(
          coalesce((select seq from sqlite_sequence where name = ${table}), 0),
          coalesce((select max(id) from ${sql.table(table)}), 0)
        ) as id
      `;
  return Number((await query.execute(db)).rows[0]?.id ?? 0);
}

/** Makes the next generated id greater than `id`. */
export async function raiseIds(db: Handle, table: string, id: number): Promise<void> {
  if (id <= (await highestId(db, table))) return;
  if (isPostgres(db)) {
    await sql`select setval(pg_get_serial_sequence(${table}, 'id'), ${id})`.execute(db);
    return;
  }
  await sql`delete from sqlite_sequence where name = ${table}`.execute(db);
  await sql`insert into sqlite_sequence (name, seq) values (${table}, ${id})`.execute(db);
}

/** Updates the planner's statistics, which PostgreSQL would update only minutes later. */
export async function analyze(db: Handle): Promise<void> {
  if (isPostgres(db)) await sql`analyze`.execute(db);
}

/**
 * Waits until every transaction that has read properties has ended, and blocks others from reading them until this one ends. On
 * PostgreSQL a SELECT takes a table lock that conflicts with this one, keeps it until its transaction ends, and sees what was
 * committed when it got the lock. SQLite has only one writer.
 */
export async function lockProperties(db: Handle): Promise<void> {
  if (isPostgres(db)) await sql`lock table properties in access exclusive mode`.execute(db);
}
