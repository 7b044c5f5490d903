import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ColumnMetadata } from 'kysely';
import { dialects } from '../../test/support/databases.ts';
import type { Column, ColumnType } from './columns.ts';
import { derived, leftBehind, tables } from './copy/tables.ts';
import { columns } from './schema.ts';

/** The column types, by their names in the databases. */
const types: Readonly<Record<string, ColumnType>> = {
  bigint: 'bigint',
  int4: 'bigint',
  int8: 'bigint',
  integer: 'bigint',
  text: 'text',
  blob: 'bytes',
  bytea: 'bytes',
};

for (const { name, open } of dialects) {
  test(`${name}: the migrations create the tables and columns of the schema`, async (t) => {
    const { read } = await open(t);
    const made: Record<string, Record<string, ColumnMetadata>> = {};
    for (const table of await read.introspection.getTables()) {
      made[table.name] = Object.fromEntries(table.columns.map((column) => [column.name, column]));
    }
    assert.deepEqual(Object.keys(made).sort(), Object.keys(columns).sort());
    for (const [table, described] of Object.entries<Record<string, Column>>(columns)) {
      assert.deepEqual(Object.keys(made[table]!).sort(), Object.keys(described).sort(), table);
      for (const [column, { type, nullable, optional, identity }] of Object.entries(described)) {
        const found = made[table]![column]!;
        const { hasDefaultValue, isAutoIncrementing } = found;
        // SQLite reports generated keys as nullable.
        const isNullable = found.isNullable && !isAutoIncrementing;
        assert.deepEqual(
          { type: types[found.dataType.toLowerCase()], isNullable, isAutoIncrementing },
          { type, isNullable: nullable, isAutoIncrementing: identity },
          `${table}.${column}`,
        );
        assert.ok(!optional || isNullable || hasDefaultValue || isAutoIncrementing, `${table}.${column}`);
      }
    }
  });
}

test('every table is copied by `berth migrate-db`, filled by triggers or left behind', () => {
  const all = [...tables.map(({ name }) => name), ...derived, ...leftBehind];
  assert.deepEqual(all.sort(), Object.keys(columns).sort());
});
