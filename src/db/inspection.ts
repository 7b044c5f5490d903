import type { Database } from './database.ts';
import type { Db } from './prepare.ts';

/** A database opened read-only, which other processes may be using. */
export interface Inspection {
  readonly read: Db;
  /** See {@link Database.clock}. */
  readonly clock: Database['clock'];
  /**
   * Runs `work` over one state of the database: it sees no commit made after it began to read, and delays none. One at a time.
   */
  snapshot<T>(work: (db: Db) => Promise<T>): Promise<T>;
  /** Damage that the database itself detects, where it can. May read all of it. */
  integrityProblems(): Promise<string[]>;
  /** Rows that reference a missing row. */
  brokenForeignKeys(): Promise<BrokenForeignKey[]>;
  close(): Promise<void>;
}

export interface BrokenForeignKey {
  readonly table: string;
  readonly row: number | string;
  readonly column: string;
  readonly parent: string;
}

/** Limit for each kind: one cause may produce many. */
export const maxProblems = 100;
