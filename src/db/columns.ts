import type { Generated } from 'kysely';

export type ColumnType = 'bigint' | 'text' | 'bytes';

/** A column of a table; `T` is the type of its values for Kysely. */
export interface Column<T = unknown> {
  readonly type: ColumnType;
  readonly nullable: boolean;
  /** Whether an insert may leave it out. */
  readonly optional: boolean;
  /** Whether the database generates it, as an increasing id. */
  readonly identity: boolean;
  /** Never set: carries the type. */
  readonly of?: T;
}

export type ColumnOf<C> = C extends Column<infer T> ? T : never;

const given = { nullable: false, optional: false, identity: false };

export const bigint: Column<number> = { ...given, type: 'bigint' };
export const text: Column<string> = { ...given, type: 'text' };
export const bytes: Column<Uint8Array> = { ...given, type: 'bytes' };
export const identity: Column<Generated<number>> = {
  ...given,
  type: 'bigint',
  optional: true,
  identity: true,
};

/** Text that is one of a few words. */
export function textOf<T extends string>(): Column<T> {
  return text as Column<T>;
}

export function nullable<T>(column: Column<T>): Column<T | null> {
  return { ...column, nullable: true } as Column<T | null>;
}

/** With a default, which for some columns is null. */
export function optional<T>(column: Column<T>): Column<Generated<T>> {
  return { ...column, optional: true } as Column<Generated<T>>;
}
