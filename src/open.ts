import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { placesOf } from './config/places.ts';
import type { Config } from './config/schema.ts';
import type { Database } from './db/database.ts';
import type { Inspection } from './db/inspection.ts';
import type { BlobStore } from './storage/blob-store.ts';

// Each import waits until its service is wanted: a registry on files and SQLite starts in half the time without the others.

/** The database that a configuration names, migrated. @throws SchemaMismatch | UnfitDatabase, or what the system says */
export async function openDatabase(
  { database: { url, poolSize }, data }: Pick<Config, 'database' | 'data'>,
  options?: { checkpoints?: boolean },
): Promise<Database> {
  if (url === undefined) {
    const { openSqlite } = await import('./db/sqlite/sqlite.ts');
    return openSqlite(join(data, 'berth.db'), options);
  }
  const { openPostgres } = await import('./db/postgres/postgres.ts');
  return openPostgres({ url, poolSize });
}

/** Whether there is a database already; of a server it is the server that says so. */
export function databaseExists({ database: { url }, data }: Pick<Config, 'database' | 'data'>): boolean {
  return url !== undefined || existsSync(join(data, 'berth.db'));
}

/** A start makes the database where there is none, but not beside blobs: it would be the one that lost them. @throws StoreMismatch */
export async function refuseLostDatabase(config: Config, store: BlobStore): Promise<void> {
  if (databaseExists(config)) return;
  const { refuseFilledStore } = await import('./core/store-identity.ts');
  await refuseFilledStore(store, placesOf(config));
}

/** The same, to look at it and change nothing: not even its schema. @throws SchemaMismatch | UnfitDatabase */
export async function inspectDatabase({
  database: { url },
  data,
}: Pick<Config, 'database' | 'data'>): Promise<Inspection> {
  if (url === undefined) {
    const { inspectSqlite } = await import('./db/sqlite/inspect.ts');
    return inspectSqlite(join(data, 'berth.db'));
  }
  const { inspectPostgres } = await import('./db/postgres/inspect.ts');
  return inspectPostgres(url);
}

/** The store that a configuration names. @throws ForeignRegistry | StoreUnusable, or what the system says */
export async function openStore(
  { storage, data }: Pick<Config, 'storage' | 'data'>,
  { inspectOnly = false } = {},
): Promise<BlobStore> {
  if (storage.type === 'filesystem') {
    const { openFilesystemStore } = await import('./storage/filesystem.ts');
    const { files } = await import('./storage/files.ts');
    return openFilesystemStore(data, files, { inspectOnly });
  }
  const { openS3Store } = await import('./storage/s3/s3.ts');
  return openS3Store(storage.s3, { inspectOnly });
}
