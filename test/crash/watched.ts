// Names the steps of the commit protocol: the calls to the operating system and the transactions.
import { relative } from 'node:path';
import type { Database } from '../../src/db/database.ts';
import { type Files, files } from '../../src/storage/files.ts';

/** Runs a step. A test records it, makes it fail, or kills the process before or after it. */
export type Around = <T>(step: string, call: () => Promise<T>) => Promise<T>;

/**
 * The store's file calls. Steps are `write staged file`, `sync <what>`, `make <folder>`, `rename` and
 * `unlink <what>`, where `what` is one of `staged file`, `data directory`, `blobs folder`, `algorithm folder`, … as `roleOf` names them.
 */
export function watchedFiles(data: string, around: Around): Files {
  const opened = new Map<number, string>();
  const role = (path: unknown): string => roleOf(data, String(path));
  return {
    ...files,
    open: (async (...parameters: Parameters<Files['open']>) => {
      const fd = await files.open(...parameters);
      opened.set(fd, role(parameters[0]));
      return fd;
    }) as Files['open'],
    fsync: ((fd: number) => around(`sync ${opened.get(fd)}`, () => files.fsync(fd))) as Files['fsync'],
    writev: (fd, buffers, position) =>
      around(`write ${opened.get(fd)}`, () => files.writev(fd, buffers, position)),
    mkdir: ((path: string, options: { recursive: true }) =>
      around(`make ${role(path)}`, () => files.mkdir(path, options))) as Files['mkdir'],
    rename: ((from: string, to: string) => around('rename', () => files.rename(from, to))) as Files['rename'],
    unlink: ((path: string) => around(`unlink ${role(path)}`, () => files.unlink(path))) as Files['unlink'],
  };
}

const blobLevels = ['blobs folder', 'algorithm folder', 'prefix folder', 'digest folder', 'blob file'];

function roleOf(data: string, path: string): string {
  const [first, ...rest] = relative(data, path).split('/');
  if (first === '') return 'data directory';
  if (first === 'uploads') return rest.length === 0 ? 'uploads folder' : 'staged file';
  if (first === 'docker' && rest.length >= 3) return blobLevels[rest.length - 3] ?? 'unknown file';
  return 'folder above';
}

/** A durable transaction has the steps `commit` and `sync log`; one that no answer waits for is the step `session`. */
export function watchedDatabase(database: Database, around: Around): Database {
  return {
    ...database,
    async transaction(work, options) {
      if (options?.durable === false) return around('session', () => database.transaction(work, options));
      const result = await around('commit', () => database.transaction(work, { durable: false }));
      // An empty transaction waits for the sync of all earlier commits.
      await around('sync log', () => database.transaction(async () => {}));
      return result;
    },
  };
}
