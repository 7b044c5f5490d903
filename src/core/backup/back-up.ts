import { randomUUID } from 'node:crypto';
import { countRows } from '../../db/copy/counts.ts';
import { type Row, tables } from '../../db/copy/tables.ts';
import { highestId, isPostgres } from '../../db/dialect.ts';
import { countStoredBlobs } from '../../db/fsck.ts';
import type { Inspection } from '../../db/inspection.ts';
import { schemaVersion } from '../../db/migrate.ts';
import type { Db } from '../../db/prepare.ts';
import { findProperty, refuseUnfinishedCopy } from '../../db/properties.ts';
import { type BackupDraft, type BackupStore, backupName } from '../../storage/backup-store.ts';
import { type BlobStore, markerKey } from '../../storage/blob-store.ts';
import { type CopyParts, copyBlobs } from '../migrate/copy-blobs.ts';
import { BackupError } from './backup-error.ts';
import {
  type BackupContents,
  backupFormat,
  encodeContents,
  type RowFile,
  type TableContents,
} from './contents.ts';
import { deleteUnfinished, pruneBackups, unfinishedFor } from './prune-backups.ts';
import { filesOf } from './row-files.ts';
import { type BackedUpBlob, storedBlobs, verifyRows } from './verify-backup.ts';

export interface BackUpParts {
  readonly database: Pick<Inspection, 'read' | 'clock' | 'snapshot'>;
  readonly backups: BackupStore;
  /** The registry's blob store and the blobs of the backups; absent if blobs are not copied. */
  readonly blobs: { readonly source: BlobStore; readonly target: BlobStore } | undefined;
  /** The number of backups that remain; absent: all. */
  readonly keep: number | undefined;
  /** The version of Berth. */
  readonly version: string;
  readonly signal: AbortSignal;
  readonly observer: BackUpObserver;
}

/** Receives the progress of a backup or a restore. */
export interface BackUpObserver {
  /** A part of the work begins. `count` counts its rows or blobs, which may read a whole table. */
  begin(work: { name: string; unit: 'rows' | 'blobs'; count: () => Promise<Totals> }): Promise<void>;
  done(done: { count?: number; bytes?: number }): void;
  /** Reports a blob that could not be copied. */
  problem(text: string): void;
}

export interface Totals {
  readonly total: number;
  readonly totalBytes?: number;
}

export interface BackedUp {
  readonly name: string;
  readonly rows: number;
  /** Bytes of the files with the rows. */
  readonly bytes: number;
  /** Blobs that were copied now; absent if blobs are not copied. */
  readonly blobs?: { readonly copied: number; readonly bytes: number };
  /** Number of blobs that could not be copied. If there are any, no older backup is deleted. */
  readonly problems: number;
  readonly pruned: readonly string[];
}

/** Milliseconds between a row's time and its commit, with a margin for changed clocks. */
const margin = 10 * 60_000;

/**
 * Writes a backup of one state of the database, verifies it, and only then makes it complete. The registry may be running. With
 * `blobs`, every stored blob of that state is copied first, unless the place of the backups has it.
 *
 * @throws BackupError | UnfinishedCopy, or errors of database and stores
 */
export async function backUp(parts: BackUpParts): Promise<BackedUp> {
  const { database, backups, keep } = parts;
  await refuseUnfinishedCopy(database.read);
  await deleteUnfinished(backups, database.clock());
  const copies = await beginCopies(parts);
  const { contents, problems, ...copied } = await write(parts, copies);
  const pruned = keep === undefined || problems > 0 ? [] : await pruneBackups(backups, contents, keep);
  const { name } = contents;
  const bytes = contents.tables.flatMap(({ files }) => files).reduce((sum, file) => sum + file.bytes, 0);
  return { name, rows: rowsIn(contents), bytes, ...copied, problems, pruned };
}

/** Writes and verifies the rows, copies the last blobs, and makes the backup complete. Leaves nothing if that fails. */
async function write(parts: BackUpParts, copies: Copies | undefined) {
  const { database, backups, signal, observer } = parts;
  const takenAt = await freeTime(backups, database.clock());
  const draft = await backups.begin(backupName(takenAt));
  try {
    const contents = await database.snapshot((db) => writeRows(db, draft, takenAt, parts));
    const verifying = { contents, read: (file: string) => draft.read(file), signal };
    const count = async () => ({ total: rowsIn(contents) });
    await observer.begin({ name: 'verifying', unit: 'rows', count });
    await verifyRows({ ...verifying, verified: (rows) => observer.done({ count: rows }) });
    const copied = copies === undefined ? { problems: 0 } : await copies.end(verifying);
    await draft.complete(encodeContents(contents));
    return { contents, ...copied };
  } catch (error) {
    await draft.discard().catch(() => {});
    throw error;
  }
}

export function rowsIn({ tables }: Pick<BackupContents, 'tables'>): number {
  return tables.reduce((sum, { rows }) => sum + rows, 0);
}

interface Copies {
  /** Copies the blobs of the backup that were pushed since the first copying began. */
  end(
    backup: Parameters<typeof storedBlobs>[0],
  ): Promise<Pick<BackedUp, 'problems'> & Required<Pick<BackedUp, 'blobs'>>>;
}

/**
 * Copies all blobs before the rows are read, which may take hours, and at the end those that were pushed meanwhile. So each blob of
 * the backup's rows is copied before garbage collection could delete it.
 */
async function beginCopies({ database, blobs, signal, observer }: BackUpParts): Promise<Copies | undefined> {
  if (blobs === undefined) return undefined;
  if ((await blobs.target.readMarker()) !== undefined) {
    throw new BackupError(
      `the folder for copies of blobs has a ${markerKey}, so it is the blob store of a registry; choose another place for the backups`,
    );
  }
  await deleteUnfinishedCopies(blobs.target, database.clock());
  const problems = new Set<string>();
  const parts: CopyParts = {
    ...{ database, ...blobs, signal },
    done: ({ blobs: count = 0, bytes = 0 }) => observer.done({ count, bytes }),
    problem(text) {
      if (!problems.has(text)) observer.problem(text);
      problems.add(text);
    },
  };
  const began = database.clock();
  await observer.begin({
    name: 'copying',
    unit: 'blobs',
    async count() {
      const { blobs, bytes } = await countStoredBlobs(database.read);
      return { total: blobs, totalBytes: bytes };
    },
  });
  const first = await copyBlobs(parts);
  return {
    async end(backup) {
      // Few, so their progress is not shown.
      const last = await copyBlobs(
        { ...parts, done() {} },
        reviewedSince(storedBlobs(backup), began - margin),
      );
      const copied = { copied: first.copied + last.copied, bytes: first.bytes + last.bytes };
      return { blobs: copied, problems: problems.size };
    },
  };
}

async function* reviewedSince(
  blobs: AsyncIterable<BackedUpBlob>,
  since: number,
): AsyncGenerator<BackedUpBlob> {
  for await (const blob of blobs) if (blob.review_at >= since) yield blob;
}

/** Deletes what killed processes have left. */
async function deleteUnfinishedCopies(target: BlobStore, now: number): Promise<void> {
  const before = now - unfinishedFor;
  for await (const { name, modifiedAt } of target.listUploads()) {
    if (modifiedAt < before) await target.deleteStaged(name);
  }
  await target.deleteInterruptedCommits?.(before);
}

/** The first whole second from `now` on that is not the time of a backup. */
async function freeTime(backups: BackupStore, now: number): Promise<number> {
  const names = new Set((await backups.list()).map(({ name }) => name));
  let time = Math.floor(now / 1000) * 1000;
  while (names.has(backupName(time))) time += 1000;
  return time;
}

async function writeRows(
  db: Db,
  draft: BackupDraft,
  takenAt: number,
  { version, blobs, signal, observer }: BackUpParts,
): Promise<BackupContents> {
  const registry = await findProperty(db, 'registry');
  const epoch = await findProperty(db, 'epoch');
  const stored = { count: 0, bytes: 0 };
  const countStored = ({ state, size }: Row): void => {
    if (state !== 'stored') return;
    stored.count += 1;
    stored.bytes += size as number;
  };
  const written: TableContents[] = [];
  for (const table of tables) {
    const { name } = table;
    await observer.begin({ name, unit: 'rows', count: async () => ({ total: await countRows(db, name) }) });
    const seen = name === 'blobs' ? countStored : () => {};
    const files: RowFile[] = [];
    for await (const { content, ...file } of filesOf(db, table, signal, seen)) {
      await draft.write(file.name, content);
      files.push(file);
      observer.done({ count: file.rows });
    }
    const rows = files.reduce((sum, file) => sum + file.rows, 0);
    const highest = table.identity ? { highestId: await highestId(db, name) } : {};
    written.push({ table: name, rows, ...highest, files });
  }
  return {
    format: backupFormat,
    id: randomUUID(),
    name: backupName(takenAt),
    takenAt: new Date(takenAt).toISOString(),
    berth: version,
    schema: schemaVersion,
    dialect: isPostgres(db) ? 'postgres' : 'sqlite',
    ...(registry !== undefined && { registry }),
    ...(epoch !== undefined && { epoch }),
    blobs: { ...stored, isCopied: blobs !== undefined },
    tables: written,
  };
}
