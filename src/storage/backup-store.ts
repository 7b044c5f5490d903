import type { BlobStore } from './blob-store.ts';

/** The file that makes a backup complete; written last. */
export const contentsFile = 'backup.json';

const namePattern = /^berth-backup-(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)Z$/;

/** The name of a backup that begins at `time` (milliseconds since 1970). Names sort by time. */
export function backupName(time: number): string {
  return `berth-backup-${new Date(time).toISOString().slice(0, 19).replaceAll(':', '-')}Z`;
}

/** Milliseconds since 1970; `undefined` if `name` is not the name of a backup. */
export function timeOfBackup(name: string): number | undefined {
  const [, day, hour, minute, second] = namePattern.exec(name) ?? [];
  const time = Date.parse(`${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(time) ? undefined : time;
}

export interface BackupEntry {
  readonly name: string;
  /** False: an unfinished backup, of a process that is running or was killed. */
  readonly isComplete: boolean;
}

/** A backup that is being written. */
export interface BackupDraft {
  /** Stores a file durably. */
  write(file: string, bytes: Uint8Array): Promise<void>;
  /** The bytes of a written file; `undefined` if they are missing. */
  read(file: string): Promise<Uint8Array | undefined>;
  /** Writes {@link contentsFile}, which makes the backup complete. */
  complete(contents: Uint8Array): Promise<void>;
  /** Deletes the unfinished backup. */
  discard(): Promise<void>;
}

/** Backups in a directory or in a bucket, each with its files, and blobs that they share. Others may read neither. */
export interface BackupStore {
  /** The location, for messages. */
  readonly place: string;
  /** All backups, oldest first. */
  list(): Promise<BackupEntry[]>;
  begin(name: string): Promise<BackupDraft>;
  /** The bytes of a file of a complete backup; `undefined` if it does not exist. */
  read(name: string, file: string): Promise<Uint8Array | undefined>;
  /** Deletes a backup, complete or not. If it is interrupted, an unfinished backup remains. */
  delete(name: string): Promise<void>;
  /** @param inspectOnly creates nothing */
  openBlobs(options: { readonly inspectOnly: boolean }): Promise<BlobStore>;
  close(): void;
}
