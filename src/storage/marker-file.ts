import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { promisify } from 'node:util';
import type { Files } from './files.ts';
import { presentOr } from './present-or.ts';

const { O_CREAT, O_EXCL, O_RDONLY, O_WRONLY } = fs.constants;
const readWhole = promisify(fs.readFile);

/** The marker's text; `undefined` if there is none. */
export async function readMarkerFile(path: string, files: Files): Promise<string | undefined> {
  const fd = await presentOr(undefined, files.open(path, O_RDONLY));
  if (fd === undefined) return undefined;
  try {
    return await readWhole(fd, 'utf8');
  } finally {
    await files.close(fd);
  }
}

/** Replaces the marker by a rename, so that no reader sees half of it. The caller syncs the folder. */
export async function writeMarkerFile(path: string, text: string, files: Files): Promise<void> {
  const draft = `${path}.${randomBytes(8).toString('hex')}`;
  const fd = await files.open(draft, O_CREAT | O_WRONLY | O_EXCL, 0o644);
  try {
    try {
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; ) at += await files.writev(fd, [bytes.subarray(at)], at);
      await files.fsync(fd);
    } finally {
      await files.close(fd);
    }
    await files.rename(draft, path);
  } catch (error) {
    await files.unlink(draft).catch(() => {});
    throw error;
  }
}
