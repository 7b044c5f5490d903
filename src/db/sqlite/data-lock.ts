import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { DataDirectoryInUse } from '../database.ts';
import { isBusy } from './dialect.ts';

export interface DataLock {
  /** From now on workers may join; other servers stay out, and so do those that come while a worker lives. */
  share(): void;
  release(): void;
}

const orphansEnd = 5_000;

/**
 * Keeps a second `berth serve` out of a data directory: each would take the other's uploads for abandoned. The lock is an
 * empty SQLite file held in a transaction, as Node has no `flock`; the kernel lets go of it when the process dies, however.
 *
 * @param patience milliseconds in which the workers of a server that died may notice it
 * @throws DataDirectoryInUse
 */
export async function lockDataDirectory(data: string, patience = orphansEnd): Promise<DataLock> {
  await mkdir(data, { recursive: true, mode: 0o700 });
  // SQLite's RESERVED lock is one server's, beside the SHARED ones of its workers; EXCLUSIVE is without any.
  const lock = openLock(data, 'begin immediate; rollback');
  const become = (statements: string): void => execute(lock, data, statements);
  become(`pragma busy_timeout = ${patience}; begin exclusive`);
  return {
    share: () => become('rollback; begin immediate'),
    release: () => release(lock),
  };
}

/**
 * Says that this process works for the one that has locked the directory, even when that one dies.
 *
 * @throws DataDirectoryInUse when it has been locked again, by another one
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
