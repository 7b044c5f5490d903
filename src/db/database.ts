import type { Db } from './prepare.ts';

/** The registry's metadata. Queries are the functions of this folder's other files, each over one table. */
export interface Database {
  /** For reading: sees what is committed, at once, never what a running transaction has only begun. */
  readonly read: Db;

  /** Milliseconds since 1970 by the database's clock, whole: what replicas compare with each other is told by it. */
  readonly clock: () => number;

  /**
   * Runs `work` in one transaction. On SQLite it is the only one; elsewhere others run at the same time, each statement sees
   * what was committed before it, and what must not change under `work` is locked first (see `locks.ts`). `work` may run
   * again from its start when another transaction came in its way, so it does no other I/O, changes nothing outside, and
   * uses the handle it is given, never {@link read}. Resolves when the commit is on disk; a database on this machine may
   * answer before that where `durable` is `false`.
   *
   * @throws DatabaseUnavailable when the database does not take the transaction in time. Nothing was changed, unless the
   *   answer to the commit itself was lost
   */
  transaction<T>(work: (db: Db) => Promise<T>, options?: { durable?: boolean }): Promise<T>;

  /** The connections to a server; absent where there is none. */
  readonly connections?: () => readonly PoolState[];

  /**
   * Resolves when the database answers, nothing of it was found damaged, it can still make commits durable and, unless `write` is
   * false, it takes a write.
   */
  ping(options?: { readonly write?: boolean }): Promise<void>;

  close(): Promise<void>;
}

/** The connections of a pool at this moment, and the queries that wait for one. */
export interface PoolState {
  readonly pool: 'read' | 'write';
  readonly busy: number;
  readonly idle: number;
  readonly waiting: number;
}

/** The database cannot be used now; the same request may work later. */
export class DatabaseUnavailable extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'DatabaseUnavailable';
  }
}

/** The database cannot be reached at the start, or does not keep what it confirms. The message is for whoever starts Berth. */
export class UnfitDatabase extends Error {
  override readonly name = 'UnfitDatabase';
}

/** The database has another version's schema. The message is for whoever starts Berth. */
export class SchemaMismatch extends Error {
  override readonly name = 'SchemaMismatch';
}

/** There is no schema in the database at all. */
export class EmptyDatabase extends Error {
  override readonly name = 'EmptyDatabase';

  constructor() {
    super('there is no registry in the database');
  }
}

/** The database is half of a copy. The message is for whoever starts Berth. */
export class UnfinishedCopy extends Error {
  override readonly name = 'UnfinishedCopy';

  constructor() {
    super(
      'the database is a copy that is not finished: run `berth migrate-db --finish` with the configuration that it is copied ' +
        'from, and start Berth here when that has succeeded',
    );
  }
}

/** A write was refused: somebody keeps the registry as it is. */
export class ReadOnlyRegistry extends Error {
  readonly reason: string;
  /** It is being moved, and takes writes again in a moment, at its new place. */
  readonly moving: boolean;

  constructor(reason: string) {
    super(`the registry is read-only: ${reason}`);
    this.name = 'ReadOnlyRegistry';
    this.reason = reason;
    this.moving = reason.startsWith(moved);
  }
}

const moved = 'moved to ';

/** Why a registry that is being moved is read-only. @param place what the operator calls the new place */
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
