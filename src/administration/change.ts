import type { AuditAction } from '../audit/actions.ts';
import { type Actor, type NewChange, recordChange } from '../db/changes.ts';
import type { Database } from '../db/database.ts';
import { lockAccounts } from '../db/locks.ts';
import type { Db } from '../db/prepare.ts';

/** A database, and the actor of the changes made through it. */
export interface ActingDatabase extends Database {
  readonly by: Actor;
}

export function actAs(database: Database, by: Actor): ActingDatabase {
  return { ...database, by };
}

/** Records a change in the transaction that makes it; `detail` without secrets. */
export type Recorder = (
  kind: AuditAction,
  detail?: Readonly<Record<string, unknown>>,
  subject?: Pick<NewChange, 'repository' | 'repositoryId'>,
) => Promise<void>;

export function recorderIn(db: Db, { by, clock }: Pick<ActingDatabase, 'by' | 'clock'>): Recorder {
  return (kind, detail, subject) => recordChange(db, by, { kind, detail, ...subject }, clock());
}

/** Runs `work` in a transaction, with a recorder for its changes. */
export function recording<T>(
  database: ActingDatabase,
  work: (db: Db, record: Recorder) => Promise<T>,
): Promise<T> {
  return database.transaction((db) => work(db, recorderIn(db, database)));
}

/** {@link recording} for accounts and rights. Runs one change at a time, so that checks of `work` still hold at the commit. */
export function change<T>(
  database: ActingDatabase,
  work: (db: Db, record: Recorder) => Promise<T>,
): Promise<T> {
  return recording(database, async (db, record) => {
    await lockAccounts(db);
    return work(db, record);
  });
}

/** The wanted values that are defined and differ from the present values. */
export function differences<T extends object>(present: { [K in keyof T]-?: unknown }, wanted: T): Partial<T> {
  const given = Object.entries(wanted) as [keyof T, unknown][];
  const changed = given.filter(([name, value]) => value !== undefined && value !== present[name]);
  return Object.fromEntries(changed) as Partial<T>;
}
