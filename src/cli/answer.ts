// The output of commands, as text for people and JSON for scripts.
import type { Failure } from '../failure.ts';
import { fields, table } from './table.ts';

export interface Answer {
  /** For people; ends with a newline. */
  readonly text: string;
  /** For scripts, with `--json`. */
  readonly json: unknown;
  /** Ends the command with exit code 1 after the answer. */
  readonly failure?: Failure;
}

type Value = string | number | boolean | null | undefined | readonly string[];

/** Answers a list: a table with a column for each entry of `columns`, and the rows themselves as JSON. */
export function listAnswer<T>(
  rows: readonly T[],
  columns: Readonly<Record<string, (row: T) => Value>>,
): Answer {
  const cells = rows.map((row) => Object.values(columns).map((cell) => shown(cell(row), '')));
  return { text: table(Object.keys(columns), cells), json: rows };
}

/** The text of one object: a line for each value. */
export function describeFields(values: Readonly<Record<string, Value>>): string {
  return fields(
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, shown(value, 'none')])),
  );
}

/** @param none replaces a missing value or an empty list */
function shown(value: Value, none: string): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (Array.isArray(value)) return value.join(', ') || none;
  return value === null || value === undefined ? none : String(value);
}
