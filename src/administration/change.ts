import type { Database } from '../db/database.ts';
import { lockAccounts } from '../db/locks.ts';
import type { Db } from '../db/prepare.ts';

/** Makes one change after the other to who there is: what a rule has looked at is still so when the change is made. */
export function change<T>(database: Database, work: (db: Db) => Promise<T>): Promise<T> {
  return database.transaction(async (db) => {
    await lockAccounts(db);
    return work(db);
  });
}
