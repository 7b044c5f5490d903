import type {
  ColumnBuilderCallback,
  ColumnDataType,
  Expression,
  Kysely,
  RawBuilder,
  SelectQueryBuilder,
} from 'kysely';
import { PostgresAdapter, sql } from 'kysely';

/** Everything in which the two databases differ and that Kysely does not level. */

// biome-ignore lint/suspicious/noExplicitAny: the dialect of a handle does not depend on its schema
type Handle = Kysely<any>;

export function isPostgres(db: Handle): boolean {
  return db.getExecutor().adapter instanceof PostgresAdapter;
}

/** Type and modifiers of a key that the database hands out; never reused, as other tables remember it. */
export function identity(db: Handle): [ColumnDataType, ColumnBuilderCallback] {
  return isPostgres(db)
    ? ['bigint', (column) => column.primaryKey().generatedAlwaysAsIdentity()]
    : ['integer', (column) => column.primaryKey().autoIncrement()];
}

export function blobType(db: Handle): ColumnDataType {
  return isPostgres(db) ? 'bytea' : 'blob';
}

/** Text that sorts by its bytes, as the spec wants tags listed; SQLite does so anyway. */
export function byteOrderedText(db: Handle): ColumnDataType | RawBuilder<unknown> {
  return isPostgres(db) ? sql`text collate "C"` : 'text';
}

/** A list as one parameter (JSON text), so that a query with a list in it is one statement whatever the length. */
export function inJsonList(db: Handle, list: Expression<string>): RawBuilder<string> {
  return isPostgres(db)
    ? sql`(select jsonb_array_elements_text(cast(${list} as jsonb)))`
    : sql`(select value from json_each(${list}))`;
}

/** Keeps the rows that a query finds from being deleted before the transaction ends; SQLite's only writer does so anyway. */
export function keepRows<DB, TB extends keyof DB, O>(
  db: Handle,
  query: SelectQueryBuilder<DB, TB, O>,
): SelectQueryBuilder<DB, TB, O> {
  return isPostgres(db) ? query.forKeyShare() : query;
}
