import fs from 'node:fs';
import { promisify } from 'node:util';

const { O_DIRECTORY } = fs.constants;
const openFile = promisify(fs.open);

/**
 * The calls on the operating system that the filesystem store makes; tests trace them, fail them and kill between them.
 *
 * What does not wait for a local disk is done at once: to close a file, to measure an open one, to open a folder in which
 * something was just made. Each trip to the thread pool costs more than these calls do.
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
  /** Bytes written, which may be fewer than given. */
  writev: (fd: number, buffers: Buffer[], position: number): Promise<number> =>
    new Promise((resolve, reject) => {
      fs.writev(fd, buffers, position, (error, written) => (error ? reject(error) : resolve(written)));
    }),
};

export type Files = typeof files;
