import { type BackupStore, timeOfBackup } from '../../storage/backup-store.ts';
import { registryOf } from './contents.ts';

/** Milliseconds after which an unfinished backup, or copy of a blob, belongs to a process that was killed. */
export const unfinishedFor = 24 * 3_600_000;

/** Deletes what killed processes have left. Returns the names. */
export async function deleteUnfinished(backups: BackupStore, now: number): Promise<string[]> {
  const deleted: string[] = [];
  for (const { name, isComplete } of await backups.list()) {
    if (isComplete || (timeOfBackup(name) as number) > now - unfinishedFor) continue;
    await backups.delete(name);
    deleted.push(name);
  }
  return deleted;
}

/**
 * Deletes all but the newest `keep` complete backups of the registry of `written`, the newest one, which is always kept. Returns the
 * names, oldest first.
 */
export async function pruneBackups(
  backups: BackupStore,
  written: { readonly name: string; readonly registry?: string },
  keep: number,
): Promise<string[]> {
  const older: string[] = [];
  for (const { name, isComplete } of await backups.list()) {
    if (isComplete && name !== written.name && (await registryOf(backups, name)) === written.registry)
      older.push(name);
  }
  const pruned = older.slice(0, Math.max(0, older.length - (keep - 1)));
  for (const name of pruned) await backups.delete(name);
  return pruned;
}
