import fs, { type Dirent } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { mapConcurrently } from './concurrently.ts';
import { files as nodeFiles } from './files.ts';
import { presentOr } from './present-or.ts';
import { FileTooLarge, type StoreTree, type TreeFile } from './store-tree.ts';

const readWhole = promisify(fs.readFile);
/** Entries of a folder that are looked up at the same time. */
const concurrency = 32;
/** A folder with at most this many files and no folder is read together with its neighbours. */
const smallFolder = 16;

/** The files below a directory, which it never changes. */
export function filesystemTree(root: string, files = nodeFiles): StoreTree {
  const readFolder = async (folder: string): Promise<Dirent[]> => {
    const entries = await presentOr([], files.readdir(join(root, folder), { withFileTypes: true }));
    return entries.sort((one, other) => (one.name < other.name ? -1 : 1));
  };

  const find = async (key: string): Promise<TreeFile | undefined> => {
    const found = await presentOr(undefined, files.stat(join(root, key)));
    return found?.isFile() ? { key, size: found.size, modifiedAt: Math.floor(found.mtimeMs) } : undefined;
  };

  /**
   * What `find` returns for the files of a folder, in groups. Most folders of a registry hold one file, so many of them are read at a
   * time.
   */
  async function* walk<T>(
    folder: string,
    find: (key: string) => Promise<T | undefined>,
  ): AsyncGenerator<readonly T[]> {
    const entries = await readFolder(folder);
    for (let start = 0; start < entries.length; start += concurrency) {
      const group = entries.slice(start, start + concurrency);
      const looked = await mapConcurrently(group, concurrency, async (entry) => {
        const key = `${folder}${entry.name}`;
        if (!entry.isDirectory()) return [await find(key)];
        const inside = await readFolder(`${key}/`);
        if (inside.length > smallFolder || inside.some((entry) => entry.isDirectory())) return `${key}/`;
        const found: (T | undefined)[] = [];
        for (const { name } of inside) found.push(await find(`${key}/${name}`));
        return found;
      });
      let found: T[] = [];
      for (const result of looked) {
        if (typeof result !== 'string') {
          for (const file of result) if (file !== undefined) found.push(file);
          continue;
        }
        yield found;
        found = [];
        yield* walk(result, find);
      }
      yield found;
    }
  }

  return {
    async *list(folder) {
      for await (const group of walk(folder, find)) yield* group;
    },
    async *count(folder) {
      for await (const group of walk(folder, async (key) => key)) yield group.length;
    },
    async read(key, limit) {
      const fd = await presentOr(undefined, files.open(join(root, key), fs.constants.O_RDONLY));
      if (fd === undefined) return undefined;
      try {
        const found = await files.fstat(fd);
        if (!found.isFile()) throw new Error(`${key} is not a file`);
        const { size } = found;
        if (size > limit) throw new FileTooLarge(key, size, limit);
        return await readWhole(fd);
      } finally {
        await files.close(fd);
      }
    },
    async close() {},
  };
}
