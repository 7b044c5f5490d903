import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';

/** Inode, time of the last write and digest of each file below a folder, by path: equal if no file was written or replaced. */
export async function fileStates(folder: string): Promise<Map<string, string>> {
  const states = new Map<string, string>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const { ino, mtimeMs } = await stat(path);
    const digest = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
    states.set(relative(folder, path), `${ino} ${mtimeMs} ${digest}`);
  }
  return states;
}
