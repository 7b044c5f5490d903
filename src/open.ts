import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { BackupPlace } from './config/backup.ts';
import type { Environment } from './config/environment.ts';
import { placesOf } from './config/places.ts';
import type { Config } from './config/schema.ts';
import { requireEmptyStore } from './core/store-identity.ts';
import type { Database } from './db/database.ts';
import type { Inspection } from './db/inspection.ts';
import { inspectSqlite } from './db/sqlite/inspect.ts';
import { openSqlite } from './db/sqlite/sqlite.ts';
import type { BackupStore } from './storage/backup-store.ts';
import type { BlobStore } from './storage/blob-store.ts';
import { openFilesystemStore } from './storage/filesystem.ts';
import { filesystemBackups } from './storage/filesystem-backups.ts';
import { filesystemTree } from './storage/filesystem-tree.ts';
import type { StoreTree } from './storage/store-tree.ts';

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

/**
 * Opens a place for backups. For a bucket, the endpoint and the credentials are those of the configured store, or with a filesystem
 * store those that the AWS SDK finds in the environment.
 *
 * @throws StoreUnusable
 */
export async function openBackups(
  place: BackupPlace,
  { storage }: Pick<Config, 'storage'>,
  env: Environment = process.env,
): Promise<BackupStore> {
  if (place.type === 'directory') return filesystemBackups(place.path);
  const { bucket, prefix } = place;
  const { openS3Backups } = await import('./storage/s3/backups.ts');
  if (storage.type === 's3') return openS3Backups({ ...storage.s3, bucket, prefix });
  const endpoint = env.AWS_ENDPOINT_URL_S3 ?? env.AWS_ENDPOINT_URL;
  return openS3Backups({
    ...{ bucket, prefix, redirectExpiry: 0 },
    region: env.AWS_REGION ?? env.AWS_DEFAULT_REGION ?? 'us-east-1',
    pathStyle: endpoint !== undefined,
    ...(endpoint !== undefined && { endpoint }),
  });
}

/** Opens the configured store, which must exist, and the copies of its blobs in a place for backups; closed with `opened`. */
export async function openCopies(
  config: Pick<Config, 'storage' | 'data'>,
  backups: BackupStore,
  opened: AsyncDisposableStack,
): Promise<{ readonly source: BlobStore; readonly target: BlobStore }> {
  const source = await openStore(config, { inspectOnly: true });
  opened.defer(() => source.close());
  const target = await backups.openBlobs({ inspectOnly: false });
  opened.defer(() => target.close());
  return { source, target };
}

/** The files of the configured store, for reading. */
export async function openTree({ storage, data }: Pick<Config, 'storage' | 'data'>): Promise<StoreTree> {
  if (storage.type === 'filesystem') return filesystemTree(data);
  const { s3Tree } = await import('./storage/s3/tree.ts');
  return s3Tree(storage.s3);
}
