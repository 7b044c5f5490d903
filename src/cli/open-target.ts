import type { Config } from '../config/schema.ts';
import type { Database } from '../db/database.ts';
import { lockDataDirectory } from '../db/sqlite/data-lock.ts';
import { openDatabase } from '../open.ts';

/**
 * Opens the database that a command fills, or creates it. Locks its data directory, so that no server starts there.
 *
 * @throws DataDirectoryInUse
 */
export async function openTarget(config: Config, opened: AsyncDisposableStack): Promise<Database> {
  if (config.database.url === undefined) {
    const lock = await lockDataDirectory(config.data);
    opened.defer(async () => lock.release());
  }
  const target = await openDatabase(config);
  opened.defer(() => target.close());
  return target;
}
