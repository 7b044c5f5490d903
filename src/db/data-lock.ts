import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { isBusy } from './sqlite-dialect.ts';

/** Another process serves from this data directory. */
export class DataDirectoryInUse extends Error {
  constructor(data: string) {
    super(
      `another berth serves from ${data}; stop it first, or give this one a directory of its own (--data)`,
    );
    this.name = 'DataDirectoryInUse';
  }
}

/**
 * Keeps a second `berth serve` out of a data directory: each would take the other's uploads for abandoned. The lock is an
 * empty SQLite file held in a transaction, as Node has no `flock`; the kernel lets go of it when the process dies, however.
 *
 * @throws DataDirectoryInUse
 */
export async function lockDataDirectory(data: string): Promise<{ release(): void }> {
  await mkdir(data, { recursive: true });
  const database = new DatabaseSync(join(data, 'berth.lock'), { timeout: 0 });
  try {
    database.exec('begin exclusive');
  } catch (error) {
    database.close();
    throw isBusy(error) ? new DataDirectoryInUse(data) : error;
  }
  return {
    release() {
      if (database.isOpen) database.close();
    },
  };
}
