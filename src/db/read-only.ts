import { type Database, ReadOnlyRegistry } from './database.ts';
import { findProperty } from './properties.ts';

/** Why no write is taken; `undefined` when they are. */
export function readOnlyReason(db: Database['read']): Promise<string | undefined> {
  return findProperty(db, 'read-only');
}

/**
 * The same database, which takes no write while the registry is read-only. The first statement of each transaction asks: the
 * property cannot be set between it and the commit (see `lockProperties`), so that nothing is written after it was set.
 */
export function refuseWhenReadOnly(database: Database): Database {
  return {
    ...database,
    /** @throws ReadOnlyRegistry */
    transaction: (work, options) =>
      database.transaction(async (db) => {
        const reason = await readOnlyReason(db);
        if (reason !== undefined) throw new ReadOnlyRegistry(reason);
        return work(db);
      }, options),
  };
}
