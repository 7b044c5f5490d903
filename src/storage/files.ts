import fs from 'node:fs';
import { promisify } from 'node:util';

/** The calls on the operating system that the filesystem store makes; tests trace them, fail them and kill between them. */
export const files = {
  access: promisify(fs.access),
  close: promisify(fs.close),
  fstat: promisify(fs.fstat),
  fsync: promisify(fs.fsync),
  ftruncate: promisify(fs.ftruncate),
  mkdir: promisify(fs.mkdir),
  open: promisify(fs.open),
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
