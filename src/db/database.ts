import type { Db } from './prepare.ts';

/** The registry's metadata. The queries are functions in this folder, one file per table. */
export interface Database {
  /** For reading: sees everything committed, and nothing of running transactions. */
  readonly read: Db;

  /** Whole milliseconds since 1970 by the database's clock, for times that replicas compare with each other. */
  readonly clock: () => number;

  /**
   * Runs `work` in a transaction. On SQLite one transaction runs at a time. On PostgreSQL they run concurrently: each statement sees
   * what was committed before it, so `work` must first lock the rows that must not change (see `locks.ts`). After a conflict `work`
   * runs again: it must do no other I/O, change nothing outside the database, and use the given handle, never {@link read}. Resolves
   * when the commit is on disk; with `durable: false` SQLite may resolve earlier.
   *
   * @throws DatabaseUnavailable when the transaction does not succeed in time. Nothing was changed, unless the answer to the
   *   commit itself was lost
   */
  transaction<T>(work: (db: Db) => Promise<T>, options?: { durable?: boolean }): Promise<T>;

  /** Connections to the server; absent on SQLite. */
  readonly connections?: () => readonly PoolState[];

  /**
   * Resolves when the database answers, no damage was found, commits can be made durable and, unless `write` is false, a write
   * succeeds.
   */
  ping(options?: { readonly write?: boolean }): Promise<void>;

  close(): Promise<void>;
}

/** Connections of a pool at this moment, and queries waiting for one. */
export interface PoolState {
  readonly pool: 'read' | 'write';
  readonly busy: number;
  readonly idle: number;
  readonly waiting: number;
}

/** The database cannot be used now; a retry may succeed. */
export class DatabaseUnavailable extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'DatabaseUnavailable';
  }
}

/** The database cannot be reached at the start, or its settings risk losing commits. The message is shown at the start. */
export class UnfitDatabase extends Error {
  override readonly name = 'UnfitDatabase';
}

/** The database has the schema of another version. The message is shown at the start. */
export class SchemaMismatch extends Error {
  override readonly name = 'SchemaMismatch';
}

/** The database has no schema. */
export class EmptyDatabase extends Error {
  override readonly name = 'EmptyDatabase';

  constructor() {
    super('the database contains no registry');
  }
}

/** The database is an unfinished copy, or an unfinished restore of a backup. The message is shown at the start. */
export class UnfinishedCopy extends Error {
  override readonly name = 'UnfinishedCopy';
}

/** A write was rejected because the registry is read-only. */
export class ReadOnlyRegistry extends Error {
  readonly reason: string;
  /** Whether the registry is being migrated, and accepts writes again after that. */
  readonly moving: boolean;

  constructor(reason: string) {
    super(`the registry is read-only: ${reason}`);
    this.name = 'ReadOnlyRegistry';
    this.reason = reason;
    this.moving = reason.startsWith(moved);
  }
}

const moved = 'moved to ';

/** The read-only reason of a registry that is being migrated. @param place the file name of the new configuration */
export function reasonOfMove(place: string): string {
  return moved + place;
}

/** Another process serves from this data directory. */
export class DataDirectoryInUse extends Error {
  constructor(data: string) {
    super(
      `another berth serves from ${data}; stop it first, or give this one a directory of its own (--data)`,
    );
    this.name = 'DataDirectoryInUse';
  }
}
