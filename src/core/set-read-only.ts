import { type Actor, recordChange } from '../db/changes.ts';
import type { Database } from '../db/database.ts';
import { setProperty } from '../db/properties.ts';

/** Makes the registry read-only for this reason, or writable without one. Resolves after all writes in progress have ended. */
export async function setReadOnly(database: Database, by: Actor, reason: string | undefined): Promise<void> {
  await database.transaction(async (db) => {
    const before = await setProperty(db, 'read-only', reason);
    if (before === reason) return;
    const change =
      reason === undefined
        ? { kind: 'registry.writable' }
        : { kind: 'registry.read-only', detail: { reason } };
    await recordChange(db, by, change, database.clock());
  });
}
