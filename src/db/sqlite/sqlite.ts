import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdir, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Worker } from 'node:worker_threads';
import { Kysely } from 'kysely';
import { type Database, DatabaseUnavailable } from '../database.ts';
import { migrate } from '../migrate.ts';
import type { Db } from '../prepare.ts';
import { noteProperty } from '../properties.ts';
import type { Schema } from '../schema.ts';
import { isBusy, SqliteConnection, sqliteDialect } from './dialect.ts';
import { WalSync } from './wal-sync.ts';

/** Milliseconds to wait for the lock of another process. */
const busyTimeout = 5_000;

/**
 * Opens the embedded database at `path`; creates and migrates it if needed.
 *
 * One connection writes, another reads and sees committed data only. Both run on the event loop, where a lookup takes microseconds;
 * everything that waits for the disk (sync, checkpoint) runs on other threads.
 *
 * @param checkpoints whether this process copies the log into the file; one of several processes is enough
 */
export async function openSqlite(path: string, { checkpoints = true } = {}): Promise<Database> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  makePrivate(path);
  const writer = connect(path);
  const write = new Kysely<Schema>({ dialect: sqliteDialect(writer, { busyTimeout }) });
  try {
    await migrate(write);
    await syncFolder(dirname(path));
    // From here on only `begin` can hit another process's lock, and it waits without blocking the event loop.
    writer.database.exec('pragma busy_timeout = 0');
  } catch (error) {
    await write.destroy();
    throw error;
  }
  const reader = connect(path);
  const inode = await inodeOf(path);
  reader.database.exec('pragma query_only = on');
  const read = new Kysely<Schema>({ dialect: sqliteDialect(reader, { busyTimeout }) });
  const wal = new WalSync(`${path}-wal`);
  const inTransaction = <T>(work: (db: Db) => Promise<T>): Promise<T> =>
    unavailableWhenBusy(() => write.transaction().execute(work as (db: Db) => Promise<never>) as Promise<T>);
  const checkpointing = checkpoints ? startCheckpoints(path) : undefined;

  return {
    read,
    clock: Date.now,
    async transaction(work, options) {
      const result = await inTransaction(work);
      if (options?.durable !== false) await wal.sync();
      return result;
    },
    async ping({ write = true } = {}) {
      if ((await inodeOf(path)) !== inode) {
        throw new DatabaseUnavailable(`the database file ${path} is gone: stop Berth and restore it`);
      }
      reader.all('select name from properties', []);
      wal.throwIfFailed();
      const damage = reader.damage ?? writer.damage;
      if (damage !== undefined) {
        throw new DatabaseUnavailable(`${path} is damaged (${damage}): stop Berth and restore a backup`);
      }
      if (write) await inTransaction((db) => noteProperty(db, 'probe', `${Date.now()}`));
    },
    async close() {
      await wal.close();
      await checkpointing?.stop();
      // Kysely's `destroy` closes nothing if all queries ran directly, and the log is only deleted when every connection is closed.
      for (const { database } of [reader, writer]) if (database.isOpen) database.close();
    },
  };
}

/**
 * Creates a missing file that only its owner can read, as it contains private keys. SQLite gives the files beside it the same mode.
 * Never opens an existing file: closing it would release the locks that SQLite holds on it in this process.
 */
function makePrivate(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** Inode of the file, which changes when it is replaced; `undefined` if it is missing. Does not open it, see {@link makePrivate}. */
async function inodeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).ino;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Starts the checkpoint worker, and another when it dies. Without one some commits block the event loop for a checkpoint. */
function startCheckpoints(path: string): { stop(): Promise<void> } {
  let stopped = false;
  let running: Worker;
  const start = (): void => {
    if (stopped) return;
    running = new Worker(new URL('./checkpoint.js', import.meta.url), { workerData: path });
    running.unref();
    running.on('error', () => setTimeout(start, 1_000).unref());
  };
  start();
  return {
    /** Resolves when the log has been copied and the worker's connection is closed, or when the worker has died. */
    async stop() {
      stopped = true;
      if (running.threadId === -1) return;
      running.ref();
      const exited = once(running, 'exit').catch(() => {});
      running.postMessage('stop');
      await exited;
    },
  };
}

function connect(path: string): SqliteConnection {
  const database = new DatabaseSync(path, { timeout: 50, enableForeignKeyConstraints: true });
  database.exec('pragma journal_mode = wal');
  // NORMAL, as WalSync syncs before an answer.
  database.exec('pragma synchronous = normal');
  // Checkpoints wait for the disk, so the worker makes them. This limit only applies when the worker has died.
  database.exec('pragma wal_autocheckpoint = 50000');
  database.exec('pragma cache_size = -65536');
  // A statement that writes several rows has its own journal. It is in memory: a file would cost more than writing nine rows.
  database.exec('pragma temp_store = memory');
  const mode = database.prepare('pragma journal_mode').get() as { journal_mode: string };
  if (mode.journal_mode !== 'wal') {
    throw new Error(
      `${path}: SQLite cannot use a write-ahead log here (journal_mode is ${mode.journal_mode})`,
    );
  }
  return new SqliteConnection(database);
}

async function unavailableWhenBusy<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (isBusy(error)) {
      throw new DatabaseUnavailable('the database is locked by another process', { cause: error });
    }
    throw error;
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path);
  await folder.sync().finally(() => folder.close());
}
