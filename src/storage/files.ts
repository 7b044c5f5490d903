import fs from 'node:fs';
import { promisify } from 'node:util';

const { O_DIRECTORY } = fs.constants;
const openFile = promisify(fs.open);

/**
 * System calls of the filesystem store; tests trace them, make them fail and kill the process between them.
 *
 * Calls that do not wait for a local disk are synchronous, because the thread pool would cost more than the call: closing a file,
 * fstat, opening a folder that was just written to.
 */
export const files = {
  access: promisify(fs.access),
  copyFile: promisify(fs.copyFile),
  close: async (fd: number): Promise<void> => fs.closeSync(fd),
  fstat: async (fd: number): Promise<fs.Stats> => fs.fstatSync(fd),
  fsync: promisify(fs.fsync),
  ftruncate: promisify(fs.ftruncate),
  mkdir: promisify(fs.mkdir),
  open: (path: string, flags: number, mode?: number): Promise<number> =>
    (flags & O_DIRECTORY) === 0
      ? openFile(path, flags, mode)
      : new Promise((resolve) => resolve(fs.openSync(path, flags))),
  readdir: promisify(fs.readdir),
  rename: promisify(fs.rename),
  stat: promisify(fs.stat),
  statfs: promisify(fs.statfs),
  unlink: promisify(fs.unlink),
  /** Resolves with the bytes written, which may be fewer than given. */
  writev: (fd: number, buffers: Buffer[], position: number): Promise<number> =>
    new Promise((resolve, reject) => {
      fs.writev(fd, buffers, position, (error, written) => (error ? reject(error) : resolve(written)));
    }),
};

export type Files = typeof files;
