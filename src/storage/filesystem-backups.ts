import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type BackupEntry, type BackupStore, contentsFile, timeOfBackup } from './backup-store.ts';
import { openFilesystemStore } from './filesystem.ts';
import { presentOr } from './present-or.ts';

/** The end of the name of an unfinished backup. */
const partial = '.partial';

/** Backups as folders of `root`, which only their owner can read. The folder of an unfinished backup has another name. */
export function filesystemBackups(root: string): BackupStore {
  const folderOf = (name: string): string => join(root, name);
  const partialOf = (name: string): string => join(root, name + partial);

  /** Creates only the last folder: a mistyped path, or a disk that is not mounted, should be noticed. */
  const makeRoot = async (): Promise<void> => {
    await mkdir(root, { mode: 0o700 }).catch((error) => {
      if (error.code !== 'EEXIST') throw error;
    });
  };

  return {
    place: root,

    async list() {
      const entries: BackupEntry[] = [];
      for (const entry of await presentOr([], readdir(root, { withFileTypes: true }))) {
        const isComplete = !entry.name.endsWith(partial);
        const name = isComplete ? entry.name : entry.name.slice(0, -partial.length);
        if (entry.isDirectory() && timeOfBackup(name) !== undefined) entries.push({ name, isComplete });
      }
      return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    },

    async begin(name) {
      await makeRoot();
      const folder = partialOf(name);
      await mkdir(folder, { mode: 0o700 });
      return {
        write: (file, bytes) => writeDurably(join(folder, file), bytes),
        read: (file) => presentOr(undefined, readFile(join(folder, file))),
        async complete(contents) {
          await writeDurably(join(folder, contentsFile), contents);
          await syncFolder(folder);
          await rename(folder, folderOf(name));
          await syncFolder(root);
        },
        discard: () => rm(folder, { recursive: true, force: true }),
      };
    },

    read: (name, file) => presentOr(undefined, readFile(join(folderOf(name), file))),

    async delete(name) {
      await presentOr(undefined, rename(folderOf(name), partialOf(name)));
      await rm(partialOf(name), { recursive: true, force: true });
    },

    async openBlobs(options) {
      if (!options.inspectOnly) await makeRoot();
      return openFilesystemStore(join(root, 'blobs'), undefined, options);
    },

    close() {},
  };
}

async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path);
  await folder.sync().finally(() => folder.close());
}
