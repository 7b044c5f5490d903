import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { DataDirectoryInUse } from '../database.ts';
import { isBusy } from './dialect.ts';

export interface DataLock {
  /** Lets workers join. Other servers stay locked out, also while a worker outlives this process. */
  share(): void;
  release(): void;
}

/** Milliseconds. */
const orphanPatience = 5_000;

/**
 * Locks a data directory against a second `berth serve`: each would take the other's uploads for abandoned. The lock is a
 * transaction on an empty SQLite file, as Node has no `flock`; the kernel releases it however the process dies.
 *
 * @param patience milliseconds to wait for the workers of a dead server to end
 * @throws DataDirectoryInUse
 */
export async function lockDataDirectory(data: string, patience = orphanPatience): Promise<DataLock> {
  await mkdir(data, { recursive: true, mode: 0o700 });
  // A server holds SQLite's RESERVED lock beside the SHARED ones of its workers; EXCLUSIVE excludes both.
  const lock = openLock(data, 'begin immediate; rollback');
  const switchTo = (statements: string): void => execute(lock, data, statements);
  switchTo(`pragma busy_timeout = ${patience}; begin exclusive`);
  return {
    share: () => switchTo('rollback; begin immediate'),
    release: () => release(lock),
  };
}

/**
 * Joins the lock as a worker of the server that holds it, and keeps it if that server dies.
 *
 * @throws DataDirectoryInUse when another server has locked the directory since
 */
export function joinDataDirectory(data: string): Pick<DataLock, 'release'> {
  const lock = openLock(data, 'begin; select * from sqlite_master');
  return { release: () => release(lock) };
}

function openLock(data: string, statements: string): DatabaseSync {
  const lock = new DatabaseSync(join(data, 'berth.lock'), { timeout: 0 });
  execute(lock, data, statements);
  return lock;
}

function execute(lock: DatabaseSync, data: string, statements: string): void {
  try {
    lock.exec(statements);
  } catch (error) {
    lock.close();
    throw isBusy(error) ? new DataDirectoryInUse(data) : error;
  }
}

function release(lock: DatabaseSync): void {
  if (lock.isOpen) lock.close();
}
