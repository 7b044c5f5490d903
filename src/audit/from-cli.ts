import { insertAuditEvents } from '../db/audit-events.ts';
import type { Database } from '../db/database.ts';
import type { AuditEvent } from './event.ts';
import { rowBy } from './row.ts';

/**
 * Records what a command has changed, on disk when it resolves. Nobody logs in to the command line: whoever may read the
 * database may do anything, and is known by the name that the machine has for them.
 *
 * @param user the name of the operating system's user
 */
export async function recordFromCli(
  database: Database,
  user: string,
  event: Omit<AuditEvent, 'identity' | 'allowed'>,
): Promise<void> {
  const by = { actor: `cli:${user}`, actor_name: user, credential: 'none' };
  const row = rowBy({ ...event, allowed: true }, database.clock(), by);
  await database.transaction((db) => insertAuditEvents(db, [row]));
}
