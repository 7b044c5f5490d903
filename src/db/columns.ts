import type { Generated } from 'kysely';

export type ColumnType = 'bigint' | 'text' | 'bytes';

/** A column of a table; `T` is the type of its values for Kysely. */
export interface Column<T = unknown> {
  readonly type: ColumnType;
  readonly nullable: boolean;
  /** Whether an insert may omit it. */
  readonly optional: boolean;
  /** Whether the database generates it, as an increasing id. */
  readonly identity: boolean;
  /** Never set; only gives TypeScript the type. */
  readonly of?: T;
}

export type ColumnOf<C> = C extends Column<infer T> ? T : never;

const required = { nullable: false, optional: false, identity: false };

export const bigint: Column<number> = { ...required, type: 'bigint' };
export const text: Column<string> = { ...required, type: 'text' };
export const bytes: Column<Uint8Array> = { ...required, type: 'bytes' };
export const identity: Column<Generated<number>> = {
  ...required,
  type: 'bigint',
  optional: true,
  identity: true,
};

/** Text with a fixed set of values. */
export function textOf<T extends string>(): Column<T> {
  return text as Column<T>;
}

export function nullable<T>(column: Column<T>): Column<T | null> {
  return { ...column, nullable: true } as Column<T | null>;
}

/** A column with a default, which may be null. */
export function optional<T>(column: Column<T>): Column<Generated<T>> {
  return { ...column, optional: true } as Column<Generated<T>>;
}
