// The file `backup.json`, which describes a backup.
import { createHash } from 'node:crypto';
import { type BackupStore, contentsFile } from '../../storage/backup-store.ts';
import { BackupError } from './backup-error.ts';

/** The version of the format that this Berth writes and reads. */
export const backupFormat = 1;

/** A file with rows of one table: lines of JSON, compressed with gzip. */
export interface RowFile {
  readonly name: string;
  readonly rows: number;
  /** Compressed bytes. */
  readonly bytes: number;
  /** SHA-256 of these bytes, in hex. */
  readonly sha256: string;
}

export interface TableContents {
  readonly table: string;
  readonly rows: number;
  /** The highest id ever generated, including deleted rows; absent if the database generates none. */
  readonly highestId?: number;
  /** In the order of the table's key. */
  readonly files: readonly RowFile[];
}

export interface BackupContents {
  readonly format: typeof backupFormat;
  /** Unique to the backup. */
  readonly id: string;
  readonly name: string;
  /** When the backup began, as in ISO 8601. */
  readonly takenAt: string;
  /** The version of Berth that wrote it. */
  readonly berth: string;
  /** The name of the last migration of the schema. */
  readonly schema: string;
  /** The database that it was taken from; it can be restored to both. */
  readonly dialect: 'sqlite' | 'postgres';
  /** The registry's id and epoch (see `core/store-identity.ts`); absent before its store was first used. */
  readonly registry?: string;
  readonly epoch?: string;
  /** The stored blobs of the registry, and whether the backup's place has their bytes. */
  readonly blobs: { readonly count: number; readonly bytes: number; readonly isCopied: boolean };
  readonly tables: readonly TableContents[];
}

export function encodeContents(contents: BackupContents): Uint8Array {
  return Buffer.from(`${JSON.stringify(contents, undefined, 2)}\n`);
}

/** @throws BackupError if there is no complete backup of this name, or this version of Berth cannot read it */
export async function readContents(backups: BackupStore, name: string): Promise<BackupContents> {
  const bytes = await backups.read(name, contentsFile);
  if (bytes === undefined) throw new BackupError(`${backups.place} has no complete backup ${name}`);
  const contents = parse(bytes);
  if (contents === undefined || contents.name !== name || !Array.isArray(contents.tables)) {
    throw new BackupError(`${contentsFile} of ${name} is damaged; use another backup`);
  }
  if (contents.format !== backupFormat) {
    throw new BackupError(
      `${name} has format ${contents.format}, written by Berth ${contents.berth}; use that version to read it`,
    );
  }
  return contents;
}

function parse(bytes: Uint8Array): BackupContents | undefined {
  try {
    return Object(JSON.parse(Buffer.from(bytes).toString()));
  } catch {
    return undefined;
  }
}

/** The registry of a backup; `null` if this Berth cannot read its contents. */
export async function registryOf(backups: BackupStore, name: string): Promise<string | null | undefined> {
  try {
    return (await readContents(backups, name)).registry;
  } catch (error) {
    if (error instanceof BackupError) return null;
    throw error;
  }
}

/** The name of the newest complete backup. @throws BackupError if there is none, or there are backups of several registries */
export async function newestBackup(backups: BackupStore): Promise<string> {
  const names = (await backups.list()).filter(({ isComplete }) => isComplete).map(({ name }) => name);
  const newest = names.at(-1);
  if (newest === undefined) throw new BackupError(`${backups.place} has no complete backup`);
  const registries = new Set<string | null | undefined>();
  for (const name of names) registries.add(await registryOf(backups, name));
  // Unreadable, or from before the registry's first start.
  for (const unknown of [null, undefined]) registries.delete(unknown);
  if (registries.size <= 1) return newest;
  throw new BackupError(`${backups.place} has backups of several registries; choose one with --name`);
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
