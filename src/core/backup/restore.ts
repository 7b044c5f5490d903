import { type Actor, recordChange } from '../../db/changes.ts';
import { clearLeftBehind, countRows, isEmpty } from '../../db/copy/counts.ts';
import { queriesOf } from '../../db/copy/queries.ts';
import { type Row, tables } from '../../db/copy/tables.ts';
import type { Database } from '../../db/database.ts';
import { analyze, raiseIds } from '../../db/dialect.ts';
import { schemaVersion } from '../../db/migrate.ts';
import type { Db } from '../../db/prepare.ts';
import { findProperty, setProperty } from '../../db/properties.ts';
import { sliceSize } from '../../db/slices.ts';
import type { BackupStore } from '../../storage/backup-store.ts';
import { type BlobStore, markerKey } from '../../storage/blob-store.ts';
import { type Copied, copyBlobs } from '../migrate/copy-blobs.ts';
import { readMarker } from '../store-identity.ts';
import type { BackUpObserver } from './back-up.ts';
import { BackupError } from './backup-error.ts';
import type { BackupContents, TableContents } from './contents.ts';
import { linesOf } from './row-files.ts';

export interface RestoreParts {
  /** Empty, or with an unfinished restore of the same backup. */
  readonly database: Database;
  /** For messages. */
  readonly place: string;
  readonly backups: BackupStore;
  /** A verified backup. */
  readonly contents: BackupContents;
  /** The copies of blobs and the registry's blob store; absent if blobs are not copied. */
  readonly blobs: { readonly source: BlobStore; readonly target: BlobStore } | undefined;
  readonly by: Actor;
  readonly signal: AbortSignal;
  readonly observer: BackUpObserver;
}

/**
 * Checks, before a database is created, that this version of Berth can restore the backup, and that the store is not another
 * registry's.
 * @throws BackupError
 */
export async function requireRestorable(
  { name, schema, berth, registry }: BackupContents,
  store: BlobStore,
  storePlace: string,
): Promise<void> {
  if (schema !== schemaVersion) {
    throw new BackupError(
      `${name} was written by Berth ${berth} with the schema ${schema}, and this version has ${schemaVersion}: ` +
        'restore it with that version, then start this one, which migrates the database',
    );
  }
  const marker = await readMarker(store);
  if (marker === undefined || marker.registry === registry) return;
  throw new BackupError(
    `${storePlace} belongs to another registry, ${marker.registry}; ${name} is of registry ${registry ?? 'without blobs'}. ` +
      `Configure the store of that registry or an empty one (storage, --data), or move the content of this one away, including ${markerKey}`,
  );
}

/**
 * Inserts the rows of a backup into an empty database, and copies the blobs that the store lacks. Until `berth fsck --repair` has
 * compared database and store, nothing is deleted (see `core/store-identity.ts`). An interrupted restore can be repeated.
 *
 * @throws BackupError
 */
export async function restore(parts: RestoreParts): Promise<Copied | undefined> {
  const { database, contents, by } = parts;
  const { id, name, registry, epoch } = contents;
  await database.transaction(async (db) => {
    await requireEmpty(db, parts);
    await setProperty(db, 'restoring', id);
    await clearLeftBehind(db);
  });
  for (const table of contents.tables) await restoreTable(table, parts);
  await database.transaction((db) => analyze(db));
  const copied = await copyBack(parts);
  await database.transaction(async (db) => {
    await setProperty(db, 'registry', registry);
    await setProperty(db, 'epoch', epoch);
    await setProperty(db, 'restored', name);
    await setProperty(db, 'restoring', undefined);
    await recordChange(db, by, { kind: 'registry.restore', detail: { backup: name } }, database.clock());
  });
  return copied;
}

async function requireEmpty(db: Db, { contents, place }: RestoreParts): Promise<void> {
  const restoring = await findProperty(db, 'restoring');
  if (restoring === contents.id) return;
  if (restoring !== undefined) {
    throw new BackupError(`${place} has an unfinished restore of another backup; use an empty one`);
  }
  if ((await findProperty(db, 'migrating')) === undefined && (await isEmpty(db))) return;
  throw new BackupError(
    `${place} is not empty: stop Berth and move the database away (in SQLite berth.db, berth.db-wal and berth.db-shm), or ` +
      'configure an empty database (database.url, --data)',
  );
}

async function restoreTable(
  { table: name, rows, highestId, files }: TableContents,
  { database, backups, contents, signal, observer }: RestoreParts,
): Promise<void> {
  const table = tables.find((table) => table.name === name);
  if (table === undefined) throw new BackupError(`${contents.name} has the unknown table ${name}`);
  const queries = queriesOf(table);
  await observer.begin({ name, unit: 'rows', count: async () => ({ total: rows }) });
  let inserted = 0;
  for (const file of files) {
    const lines = await linesOf(file, await backups.read(contents.name, file.name));
    for (let start = 0; start < lines.length; start += sliceSize) {
      signal.throwIfAborted();
      const slice = lines.slice(start, start + sliceSize).map((line) => JSON.parse(line) as Row);
      // The last transaction of the restore makes all of them durable.
      inserted += await database.transaction((db) => queries.insert(db, slice), { durable: false });
    }
    observer.done({ count: file.rows });
  }
  if (highestId !== undefined) await database.transaction((db) => raiseIds(db, name, highestId));
  // An earlier run may have inserted some.
  const found = inserted === rows ? rows : await countRows(database.read, name);
  if (found === rows) return;
  throw new BackupError(
    `table ${name} has ${found} rows after the restore, and the backup has ${rows}; use an empty database`,
  );
}

async function copyBack({
  database,
  contents,
  blobs,
  signal,
  observer,
}: RestoreParts): Promise<Copied | undefined> {
  if (blobs === undefined) return undefined;
  const { count: total, bytes: totalBytes } = contents.blobs;
  await observer.begin({ name: 'copying', unit: 'blobs', count: async () => ({ total, totalBytes }) });
  return copyBlobs({
    ...{ database, ...blobs, signal },
    done: ({ blobs: count = 0, bytes = 0 }) => observer.done({ count, bytes }),
    problem: (text) => observer.problem(text),
  });
}
