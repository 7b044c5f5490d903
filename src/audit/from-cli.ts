import { commandLineActor } from '../access/actor.ts';
import { type NewChange, recordChange } from '../db/changes.ts';
import type { Database } from '../db/database.ts';
import type { AuditAction } from './actions.ts';

/**
 * Records what a command has changed, on disk when it resolves.
 * @param user the name of the operating system's user
 */
export async function recordFromCli(
  database: Database,
  user: string,
  { action: kind, ...change }: Omit<NewChange, 'kind'> & { readonly action: AuditAction },
): Promise<void> {
  await database.transaction((db) =>
    recordChange(db, commandLineActor(user), { kind, ...change }, database.clock()),
  );
}
