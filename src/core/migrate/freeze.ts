import type { Actor } from '../../db/changes.ts';
import type { Database } from '../../db/database.ts';
import { readOnlyReason } from '../../db/read-only.ts';
import { setReadOnly } from '../set-read-only.ts';
import { CannotMigrate } from './cannot-migrate.ts';

/**
 * Makes the registry read-only, waits for running writes, and runs `work`. On failure it restores the previous state; on success
 * the registry stays read-only.
 * @throws CannotMigrate if the registry could not be made writable again
 */
export async function freeze<T>(
  database: Database,
  by: Actor,
  reason: string,
  work: () => Promise<T>,
): Promise<T> {
  // A registry that was already read-only keeps its state and its reason.
  const wasReadOnly = (await readOnlyReason(database.read)) !== undefined;
  if (!wasReadOnly) await setReadOnly(database, by, reason);
  try {
    return await work();
  } catch (error) {
    if (!wasReadOnly) {
      await setReadOnly(database, by, undefined).catch((why) => {
        throw stillReadOnly(error as Error, why as Error);
      });
    }
    throw error;
  }
}

function stillReadOnly(error: Error, why: Error): CannotMigrate {
  return new CannotMigrate(
    `${error.message}; and the registry could not be made writable again (${why.message}): ` +
      'run `berth read-only off`, or this command again',
    { cause: error },
  );
}
