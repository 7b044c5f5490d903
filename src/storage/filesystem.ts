import fs from 'node:fs';
import { join, relative, sep } from 'node:path';
import { type BlobFile, type BlobKey, type BlobStore, markerKey, probeKey } from './blob-store.ts';
import { DurableFolders } from './durable-folders.ts';
import { files as nodeFiles } from './files.ts';
import { filesystemUploads } from './filesystem-uploads.ts';
import { ForeignRegistry } from './foreign-registry.ts';
import { freeSpaceCheck } from './free-space.ts';
import { listFiles } from './list-files.ts';
import { readMarkerFile, writeMarkerFile } from './marker-file.ts';
import { presentOr } from './present-or.ts';
import { StoreUnavailable } from './store-errors.ts';

const { O_CREAT, O_RDONLY, O_WRONLY, R_OK, W_OK } = fs.constants;
const blobsFolder = join('docker', 'registry', 'v2', 'blobs');

/**
 * Blobs as files below `root`; uploads staged in `root/uploads` on the same filesystem, so that a commit is a rename.
 * A commit syncs the file before the rename and the folders after it: acknowledged bytes survive a power cut.
 */
export async function openFilesystemStore(
  root: string,
  files = nodeFiles,
  { inspectOnly = false } = {},
): Promise<BlobStore> {
  const uploadsFolder = join(root, 'uploads');
  const folders = new DurableFolders(root, files);
  // An inspection creates nothing: a missing folder is a finding.
  if (!inspectOnly) {
    await refuseForeign();
    await folders.makeRoot();
    await folders.ensure(uploadsFolder);
    await folders.ensure(join(root, blobsFolder));
  }

  const pathOf = (key: BlobKey): string => join(root, key);
  const ensureFreeSpace = freeSpaceCheck(uploadsFolder, files);

  /**
   * Blobs of another registry have no rows in this database, so garbage collection would park them and later delete them. `berth adopt`
   * writes the marker after it has recorded them.
   */
  async function refuseForeign(): Promise<void> {
    const found = await presentOr<string[], string[]>(
      [],
      files.readdir(join(root, 'docker', 'registry', 'v2')),
    );
    if (!found.includes('repositories')) return;
    const isAdopted = await presentOr(
      false,
      files.access(join(root, markerKey)).then(() => true),
    );
    if (!isAdopted) throw new ForeignRegistry(root, 'another directory (--data)');
  }

  return {
    commitMoves: true,

    async read(key): Promise<BlobFile | undefined> {
      const fd = await presentOr(undefined, files.open(pathOf(key), O_RDONLY));
      if (fd === undefined) return undefined;
      try {
        const { size } = await files.fstat(fd);
        return { fd, size, close: () => fs.close(fd) };
      } catch (error) {
        await files.close(fd);
        throw error;
      }
    },

    async stat(key) {
      const found = await presentOr(undefined, files.stat(pathOf(key)));
      return found && { size: found.size };
    },

    async delete(key) {
      await presentOr(undefined, files.unlink(pathOf(key)));
    },

    async *list() {
      for await (const { name, modifiedAt } of listFiles(join(root, blobsFolder), files)) {
        yield { name: relative(root, name).split(sep).join('/') as BlobKey, modifiedAt };
      }
    },

    ...filesystemUploads({ uploadsFolder, pathOf, files, folders, ensureFreeSpace }),

    ensureFreeSpace,

    readMarker: () => readMarkerFile(join(root, markerKey), files),

    async writeMarker(text) {
      await writeMarkerFile(join(root, markerKey), text, files);
      await folders.sync(root);
    },

    async ping({ write = true } = {}) {
      if ((await presentOr('absent', files.access(uploadsFolder, write ? W_OK : R_OK))) === 'absent') {
        throw new StoreUnavailable(`${uploadsFolder} is gone: stop Berth and restore the data directory`);
      }
      if (!write) return;
      const fd = await files.open(join(root, probeKey), O_CREAT | O_WRONLY, 0o644);
      try {
        await files.writev(fd, [Buffer.from('.')], 0);
      } finally {
        await files.close(fd);
      }
    },

    async close() {},
  };
}
