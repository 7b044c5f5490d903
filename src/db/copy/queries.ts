import { type RawBuilder, sql } from 'kysely';
import type { ColumnType } from '../columns.ts';
import { jsonRows, keepingIds } from '../dialect.ts';
import { type Db, prepare } from '../prepare.ts';
import { type Row, type Table, tables } from './tables.ts';

/** Queries on one table, for both databases. */
export interface TableQueries {
  /** Rows after `after`, by key, without the fixed column. */
  page(db: Db, after: Row | undefined, limit: number): Promise<Row[]>;
  /** Inserts rows, except those with a missing parent row or an existing unique value; returns the number inserted. */
  insert(db: Db, rows: readonly Row[]): Promise<number>;
  /** Updates the rows with these keys, except to a missing parent row; returns the number updated. */
  update(db: Db, rows: readonly Row[]): Promise<number>;
  /** Deletes the rows with these keys, after the rows that reference them. */
  delete(db: Db, rows: readonly Row[]): Promise<void>;
}

export function queriesOf(table: Table): TableQueries {
  const { name, columns, key, fixed, passedOn, parent, needs } = table;
  const refs = (names: readonly string[], of?: string): RawBuilder<unknown> =>
    sql.join(names.map((column) => sql.ref(of === undefined ? column : `${of}.${column}`)));
  const sameKey = sql.join(
    key.map((column) => sql`${sql.ref(`${name}.${column}`)} = ${sql.ref(`given.${column}`)}`),
    sql` and `,
  );
  const all = Object.keys(columns);
  const read = all.filter((column) => column !== fixed);
  const values = read.filter((column) => !key.includes(column));

  const page = prepare<Record<string, unknown>, Row>((db, p) =>
    compiling(
      db,
      sql`select ${refs(read)} from ${sql.table(name)}
          where (${refs(key)}) > (${sql.join(key.map((column) => p(column)))})
          order by ${refs(key)} limit ${p('limit')}`,
    ),
  );
  // As a parent row may have been created after its table was compared.
  const present = sql.join(
    needs.map(
      ([column, parent, id]) =>
        sql`and (${sql.ref(`given.${column}`)} is null or exists
            (select 1 from ${sql.table(parent)} where ${sql.ref(`${parent}.${id}`)} = ${sql.ref(`given.${column}`)}))`,
    ),
    sql` `,
  );
  const insert = prepare<{ rows: string }, Row>((db, p) =>
    compiling(
      db,
      sql`insert into ${sql.table(name)} (${refs(all)}) ${keepingIds(db)}
          select ${refs(all, 'given')} from ${jsonRows(db, p('rows'), columns)} where true ${present}
          on conflict do nothing returning ${refs(key)}`,
    ),
  );
  const update = prepare<{ rows: string }, Row>((db, p) =>
    compiling(
      db,
      sql`update ${sql.table(name)}
          set ${sql.join(values.map((column) => sql`${sql.ref(column)} = ${sql.ref(`given.${column}`)}`))}
          from ${jsonRows(db, p('rows'), pick(columns, [...key, ...values]))} where ${sameKey} ${present}
          returning 1 as updated`,
    ),
  );
  /** Frees the unique values of the given rows, which other rows had before: those get their own new values later, or are deleted. */
  const giveUp =
    passedOn &&
    prepare<{ rows: string }, Row>((db, p) =>
      compiling(
        db,
        sql`update ${sql.table(name)}
            set ${sql.ref(passedOn)} = cast(${sql.ref(key[0] as string)} as text) || '@'
            where ${sql.ref(passedOn)} in
              (select ${sql.ref(`given.${passedOn}`)} from ${jsonRows(db, p('rows'), pick(columns, [passedOn]))})`,
      ),
    );
  /** Children of the given rows are deleted too, perhaps in a later batch. */
  const orphan =
    parent &&
    prepare<{ rows: string }, Row>((db, p) =>
      compiling(
        db,
        sql`update ${sql.table(name)} set ${sql.ref(parent)} = null
            where ${sql.ref(parent)} in (select id from ${jsonRows(db, p('rows'), pick(columns, key))})`,
      ),
    );
  const remove = prepare<{ rows: string }, Row>((db, p) =>
    compiling(
      db,
      sql`delete from ${sql.table(name)} where exists
          (select 1 from ${jsonRows(db, p('rows'), pick(columns, key))} where ${sameKey})`,
    ),
  );
  const dependents = tables.flatMap((other) =>
    other.needs
      .filter(([, parent]) => parent === name)
      .map(([column, , id]) =>
        prepare<{ rows: string }, Row>((db, p) =>
          compiling(
            db,
            sql`delete from ${sql.table(other.name)} where ${sql.ref(column)} in
                (select ${sql.ref(id)} from ${jsonRows(db, p('rows'), pick(columns, [id]))})`,
          ),
        ),
      ),
  );

  return {
    page: (db, after, limit) => {
      const start = Object.fromEntries(
        key.map((column) => [column, after?.[column] ?? (columns[column] === 'bigint' ? 0 : '')]),
      );
      return page(db, { ...start, limit });
    },
    insert: async (db, rows) => (await insert(db, { rows: JSON.stringify(rows) })).length,
    update: async (db, rows) => {
      const parameters = { rows: JSON.stringify(rows) };
      if (giveUp) await giveUp(db, parameters);
      return (await update(db, parameters)).length;
    },
    delete: async (db, rows) => {
      const parameters = { rows: JSON.stringify(rows) };
      // The last table first: rows that reference a manifest before those that reference its repository.
      for (const dependent of dependents.toReversed()) await dependent(db, parameters);
      if (orphan) await orphan(db, parameters);
      await remove(db, parameters);
    },
  };
}

function compiling(db: Db, query: RawBuilder<unknown>) {
  return { compile: () => query.compile(db) as never };
}

function pick(columns: Table['columns'], names: readonly string[]): Table['columns'] {
  return Object.fromEntries(names.map((name) => [name, columns[name] as ColumnType]));
}
