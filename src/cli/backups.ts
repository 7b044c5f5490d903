// The common parts of `berth backup` and `berth restore`.
import { basename, dirname } from 'node:path';
import { type BackupPlace, backupPlaceAllowed, parseBackupPlace } from '../config/backup.ts';
import type { Config } from '../config/schema.ts';
import type { BackUpObserver } from '../core/backup/back-up.ts';
import { newestBackup } from '../core/backup/contents.ts';
import { Failure, UsageError } from '../failure.ts';
import { openBackups } from '../open.ts';
import { type BackupStore, timeOfBackup } from '../storage/backup-store.ts';
import type { Context } from './context.ts';
import type { Progress } from './progress.ts';

/** @throws UsageError if `text` is no place, or is absent and the configuration has none */
export function placeOf(text: string | undefined, { backup }: Pick<Config, 'backup'>): BackupPlace {
  const place = text === undefined ? backup.to : parseBackupPlace(text);
  if (place !== undefined) return place;
  throw new UsageError(
    text === undefined
      ? 'the place for the backups is missing: name it, or set backup.to in the configuration'
      : `'${text}' is not a place for backups; allowed: ${backupPlaceAllowed}`,
  );
}

/** An existing backup: its place, and its name if the argument ends with one. */
interface Found {
  readonly place: BackupPlace;
  readonly name: string | undefined;
}

function splitName(place: BackupPlace): Found {
  const path = place.type === 'directory' ? place.path : place.prefix.replace(/\/$/, '');
  const name = basename(path);
  if (timeOfBackup(name) === undefined) return { place, name: undefined };
  if (place.type === 'directory') return { place: { ...place, path: dirname(path) }, name };
  const parent = dirname(path);
  return { place: { ...place, prefix: parent === '.' ? '' : `${parent}/` }, name };
}

/**
 * Opens the place of a backup, and chooses the backup: the one that the argument ends with, or `--name`, or the newest.
 *
 * @throws UsageError | BackupError | StoreUnusable
 */
export async function openBackup(
  text: string | undefined,
  { config, named }: { readonly config: Config; readonly named: string | undefined },
  { env }: Context,
  opened: AsyncDisposableStack,
): Promise<{ readonly backups: BackupStore; readonly name: string }> {
  const { place, name: last } = splitName(placeOf(text, config));
  if (last !== undefined && named !== undefined && last !== named) {
    throw new UsageError(`--name ${named} differs from the name at the end of ${text}`);
  }
  const name = named ?? last;
  if (name !== undefined && timeOfBackup(name) === undefined) {
    throw new UsageError(`'${name}' is not the name of a backup, such as berth-backup-2026-01-31T03-00-00Z`);
  }
  const backups = await openBackups(place, config, env);
  opened.defer(async () => backups.close());
  return { backups, name: name ?? (await newestBackup(backups)) };
}

export function blobsLeft(count: number, done: string): Failure {
  return new Failure(`${count === 1 ? 'a blob' : `${count} blobs`} could not be ${done}, see above`);
}

/** Shows the progress of a backup or a restore. */
export function observeWith(progress: Progress): BackUpObserver {
  return {
    async begin({ count, ...work }) {
      progress.begin({ ...work, ...(await count()) });
    },
    done: (done) => progress.add(done),
    problem: (text) => progress.problem(text),
  };
}
