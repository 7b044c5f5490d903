import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { Readable } from 'node:stream';
import { type BlobKey, type BlobStore, type StagedUpload, UploadLost } from './blob-store.ts';
import type { DurableFolders } from './durable-folders.ts';
import type { Files } from './files.ts';
import { listFiles } from './list-files.ts';
import { presentOr } from './present-or.ts';
import { writeBody } from './write-body.ts';

const { O_CREAT, O_RDWR, O_TRUNC } = fs.constants;

export interface FilesystemUploadsParts {
  readonly uploadsFolder: string;
  readonly pathOf: (key: BlobKey) => string;
  readonly files: Files;
  readonly folders: DurableFolders;
  readonly ensureFreeSpace: () => Promise<void>;
}

/** The part of a filesystem store that stages uploads as files in one folder, and commits them with a rename. */
export function filesystemUploads({
  uploadsFolder,
  pathOf,
  files,
  folders,
  ensureFreeSpace,
}: FilesystemUploadsParts): Pick<
  BlobStore,
  'append' | 'adopt' | 'readUpload' | 'commit' | 'abort' | 'listUploads' | 'deleteStaged'
> {
  /** The first writer's file, or the copy made by a takeover. */
  const stagedPath = ({ id, staged }: Pick<StagedUpload, 'id' | 'staged'>): string =>
    join(uploadsFolder, staged === '' ? id : `${id}.${staged}`);

  return {
    async append(upload, body, options) {
      const { size, staged } = upload;
      let fd: number | undefined;
      // Opened at the first write, so that a PUT without bytes opens no file.
      const open = async (): Promise<number> => {
        if (fd === undefined) {
          await ensureFreeSpace();
          fd = await openStaged(upload);
        }
        return fd;
      };
      try {
        const { written, interrupted } = await writeBody(files, open, size, body, options);
        if (size === 0) await open();
        return { size: size + written, staged, ...(interrupted && { interrupted }) };
      } catch (error) {
        // The hash of these bytes is lost, so they are useless, and the disk may be full.
        if (fd !== undefined) await files.ftruncate(fd, size).catch(() => {});
        throw error;
      } finally {
        if (fd !== undefined) await files.close(fd);
      }
    },

    async adopt(upload) {
      const copy = { ...upload, staged: randomBytes(8).toString('hex') };
      if (upload.size === 0) return copy.staged;
      const found = await presentOr(undefined, files.stat(stagedPath(upload)));
      if (found === undefined || found.size < upload.size) throw new UploadLost(upload.id, found?.size);
      await ensureFreeSpace();
      // The former writer may still write to its own file, which garbage collection deletes once the session is over.
      await files.copyFile(stagedPath(upload), stagedPath(copy), fs.constants.COPYFILE_FICLONE);
      return copy.staged;
    },

    async readUpload(upload): Promise<Readable> {
      const { id, size } = upload;
      if (size === 0) return Readable.from([]);
      const found = await presentOr(undefined, files.stat(stagedPath(upload)));
      if (found === undefined || found.size < size) throw new UploadLost(id, found?.size);
      return fs.createReadStream(stagedPath(upload), { end: size - 1, highWaterMark: 1 << 20 });
    },

    async commit(upload, key) {
      const { size } = upload;
      const path = pathOf(key);
      const fd = await presentOr(undefined, files.open(stagedPath(upload), O_RDWR));
      if (fd === undefined) {
        // A repeated commit: the file is already renamed, and only the folders may need a sync.
        if ((await presentOr(undefined, files.stat(path)))?.size !== size) throw new UploadLost(upload.id);
      } else {
        try {
          await truncateToSize(upload, fd);
          await files.fsync(fd).catch(async (error) => {
            // After a failed fsync the kernel may drop the unwritten bytes and report success for the next fsync. A repeated commit
            // must not find these bytes.
            await files.unlink(stagedPath(upload)).catch(() => {});
            throw error;
          });
        } finally {
          await files.close(fd);
        }
        const folder = dirname(path);
        await folders.ensure(dirname(folder));
        await files.mkdir(folder, { recursive: true });
        await files.rename(stagedPath(upload), path);
      }
      // The blob's folder is usually new; another push of the same digest may have created it without syncing it yet.
      await Promise.all([folders.sync(dirname(path)), folders.sync(dirname(dirname(path)))]);
    },

    async abort(upload, kept) {
      if (upload.staged === kept) return;
      await presentOr(undefined, files.unlink(stagedPath(upload)));
    },

    async *listUploads() {
      for await (const { name, modifiedAt } of listFiles(uploadsFolder, files)) {
        const file = relative(uploadsFolder, name);
        yield { name: file, upload: file.split('.')[0] as string, modifiedAt };
      }
    },

    async deleteStaged(name) {
      await presentOr(undefined, files.unlink(join(uploadsFolder, name)));
    },
  };

  async function openStaged(upload: StagedUpload): Promise<number> {
    if (upload.size === 0) return files.open(stagedPath(upload), O_CREAT | O_RDWR | O_TRUNC, 0o644);
    const fd = await presentOr(undefined, files.open(stagedPath(upload), O_RDWR));
    if (fd === undefined) throw new UploadLost(upload.id);
    try {
      await truncateToSize(upload, fd);
      return fd;
    } catch (error) {
      await files.close(fd);
      throw error;
    }
  }

  /** Truncates the staged file to the recorded size: an append that failed or crashed may have written more. */
  async function truncateToSize({ id, size }: StagedUpload, fd: number): Promise<void> {
    const found = (await files.fstat(fd)).size;
    if (found < size) throw new UploadLost(id, found);
    if (found > size) await files.ftruncate(fd, size);
  }
}
