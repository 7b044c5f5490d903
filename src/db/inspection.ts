import type { Database } from './database.ts';
import type { Db } from './prepare.ts';

/** A database that is looked at and not changed, whether processes use it or not. */
export interface Inspection {
  readonly read: Db;
  /** As a {@link Database}'s. */
  readonly clock: Database['clock'];
  /** What the database itself finds wrong with how it is stored, where it can tell. May read all of it. */
  integrityProblems(): Promise<string[]>;
  /** Rows that name another one that is not there. */
  brokenForeignKeys(): Promise<BrokenForeignKey[]>;
  close(): Promise<void>;
}

export interface BrokenForeignKey {
  readonly table: string;
  readonly row: number | string;
  readonly column: string;
  readonly parent: string;
}

/** Of each kind; nobody reads more, and one cause makes many. */
export const maxProblems = 100;
