import type { Actor } from '../../db/changes.ts';
import type { Database } from '../../db/database.ts';
import { readOnlyReason } from '../../db/read-only.ts';
import { setReadOnly } from '../set-read-only.ts';
import { CannotMigrate } from './cannot-migrate.ts';

/**
 * Makes the registry read-only, waits for the writes that run, and runs `work`. If that fails the registry is as it was before;
 * if not, it stays read-only.
 *
 * @throws CannotMigrate when it could not be made writable again
 */
export async function freeze<T>(
  database: Database,
  by: Actor,
  reason: string,
  work: () => Promise<T>,
): Promise<T> {
  // Whoever made it read-only before has a reason of their own.
  const frozen = (await readOnlyReason(database.read)) !== undefined;
  if (!frozen) await setReadOnly(database, by, reason);
  try {
    return await work();
  } catch (error) {
    if (!frozen) {
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
