import type { TableQueries } from '../../db/copy/queries.ts';
import type { Row, Table } from '../../db/copy/tables.ts';
import type { Db } from '../../db/prepare.ts';

const pageSize = 5_000;

/** Pages of a table's rows in the order of its key; fetches the next page while this one is read. */
export class Pages {
  readonly #load: (after: Row | undefined) => Promise<Row[]>;
  #rows: readonly Row[] = [];
  #at = 0;
  #next: Promise<Row[]> | undefined;

  constructor(db: Db, queries: TableQueries) {
    this.#load = (after) => {
      const rows = queries.page(db, after, pageSize);
      // A reader that stops early does not await this promise, and its rejection must not be an unhandled one.
      rows.catch(() => {});
      return rows;
    };
    this.#next = this.#load(undefined);
  }

  /** The first row not yet taken. */
  get current(): Row | undefined {
    return this.#rows[this.#at];
  }

  take(): void {
    this.#at += 1;
  }

  /** Loads the next page when {@link current} is undefined; if it still is afterwards, no rows follow. */
  async fill(): Promise<void> {
    if (this.#at < this.#rows.length || this.#next === undefined) return;
    this.#rows = await this.#next;
    this.#at = 0;
    this.#next = this.#rows.length < pageSize ? undefined : this.#load(this.#rows.at(-1));
  }
}

/** Negative, zero or positive, as `a` comes before, at or after `b`. */
export function compareKeys({ key }: Table, a: Row, b: Row): number {
  for (const column of key) {
    const left = a[column] as string | number;
    const right = b[column] as string | number;
    if (left !== right) return left < right ? -1 : 1;
  }
  return 0;
}
