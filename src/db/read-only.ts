import { type Database, ReadOnlyRegistry } from './database.ts';
import { findProperty } from './properties.ts';

/** Why the registry is read-only; `undefined` if it is not. */
export function readOnlyReason(db: Database['read']): Promise<string | undefined> {
  return findProperty(db, 'read-only');
}

/**
 * Wraps a database to reject transactions while the registry is read-only. Each transaction first reads the property, which then
 * cannot be set until the transaction has ended (see `lockProperties`). So nothing is written after it was set.
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
