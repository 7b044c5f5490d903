import type { Db } from './prepare.ts';

/** The registry's metadata. Queries are the functions of this folder's other files, each over one table. */
export interface Database {
  /** For reading: sees what is committed, at once, never what a running transaction has only begun. */
  readonly read: Db;

  /**
   * Runs `work` in one transaction, as the only writer of what it touches. `work` does no other I/O and uses the handle
   * it is given, never {@link read}. Resolves when the commit is on disk, unless `durable` is `false`.
   *
   * @throws DatabaseUnavailable when the database does not take the transaction in time; nothing was changed
   */
  transaction<T>(work: (db: Db) => Promise<T>, options?: { durable?: boolean }): Promise<T>;

  /** Resolves when the database answers and can still make commits durable. */
  ping(): Promise<void>;

  close(): Promise<void>;
}

/** The database cannot be used now; the same request may work later. */
export class DatabaseUnavailable extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'DatabaseUnavailable';
  }
}

/** The database has another version's schema. The message is for whoever starts Berth. */
export class SchemaMismatch extends Error {
  override readonly name = 'SchemaMismatch';
}
