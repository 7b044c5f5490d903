import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { placesOf } from './config/places.ts';
import type { Config } from './config/schema.ts';
import { requireEmptyStore } from './core/store-identity.ts';
import type { Database } from './db/database.ts';
import type { Inspection } from './db/inspection.ts';
import { inspectSqlite } from './db/sqlite/inspect.ts';
import { openSqlite } from './db/sqlite/sqlite.ts';
import type { BlobStore } from './storage/blob-store.ts';
import { openFilesystemStore } from './storage/filesystem.ts';

// Loads the clients of PostgreSQL and S3 only if they are configured, 35 MB and 0.1 s of CPU time for S3.

/** Opens and migrates the configured database. @throws SchemaMismatch | UnfitDatabase, or a system error */
export async function openDatabase(
  { database: { url, poolSize }, data }: Pick<Config, 'database' | 'data'>,
  options?: { checkpoints?: boolean },
): Promise<Database> {
  if (url === undefined) return openSqlite(join(data, 'berth.db'), options);
  const { openPostgres } = await import('./db/postgres/postgres.ts');
  return openPostgres({ url, poolSize });
}

/** Whether the database exists. A database server is assumed to have it. */
export function databaseExists({ database: { url }, data }: Pick<Config, 'database' | 'data'>): boolean {
  return url !== undefined || existsSync(join(data, 'berth.db'));
}

/** Refuses to create a database for a store that already has blobs, because their database is missing. @throws StoreMismatch */
export async function refuseLostDatabase(config: Config, store: BlobStore): Promise<void> {
  if (databaseExists(config)) return;
  await requireEmptyStore(store, placesOf(config));
}

/** Opens the database without changing anything, not even its schema. @throws SchemaMismatch | UnfitDatabase */
export async function inspectDatabase({
  database: { url },
  data,
}: Pick<Config, 'database' | 'data'>): Promise<Inspection> {
  if (url === undefined) return inspectSqlite(join(data, 'berth.db'));
  const { inspectPostgres } = await import('./db/postgres/inspect.ts');
  return inspectPostgres(url);
}

/** Opens the configured store. @throws ForeignRegistry | StoreUnusable, or a system error */
export async function openStore(
  { storage, data }: Pick<Config, 'storage' | 'data'>,
  { inspectOnly = false } = {},
): Promise<BlobStore> {
  if (storage.type === 'filesystem') return openFilesystemStore(data, undefined, { inspectOnly });
  const { openS3Store } = await import('./storage/s3/s3.ts');
  return openS3Store(storage.s3, { inspectOnly });
}
