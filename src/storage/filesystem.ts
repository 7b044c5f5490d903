import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { Readable } from 'node:stream';
import {
  type BlobFile,
  type BlobKey,
  type BlobStore,
  markerKey,
  probeKey,
  type StagedUpload,
  type StoredFile,
  UploadLost,
} from './blob-store.ts';
import { files as nodeFiles } from './files.ts';
import { ForeignRegistry } from './foreign-registry.ts';
import { readMarkerFile, writeMarkerFile } from './marker-file.ts';
import { presentOr } from './present-or.ts';
import { StoreUnavailable } from './store-errors.ts';
import { writeBody } from './write-body.ts';

const { O_CREAT, O_DIRECTORY, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, R_OK, W_OK } = fs.constants;
/** Free bytes that blobs leave for the database; on a small disk, an eighth of it. */
const maxReserve = 64 << 20;
/** Milliseconds for which a free-space check is reused; hundreds of small pushes share it. */
const spaceKnownFor = 10;
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
  /** Folders that are, or are being, synced to disk; two hex digits deep, so at most some hundreds. */
  const durableFolders = new Map<string, Promise<void>>();
  let spaceSeenAt = Number.NEGATIVE_INFINITY;
  // An inspection creates nothing: a missing folder is a finding.
  if (!inspectOnly) {
    await refuseForeign();
    await makeRoot();
    await ensureFolder(uploadsFolder);
    await ensureFolder(join(root, blobsFolder));
  }

  const pathOf = (key: BlobKey): string => join(root, key);
  /** The first writer's file, or the copy made by a takeover. */
  const stagedPath = ({ id, staged }: Pick<StagedUpload, 'id' | 'staged'>): string =>
    join(uploadsFolder, staged === '' ? id : `${id}.${staged}`);

  /** Another registry's blobs have no rows here: the sweep would delete them as leftovers of a crash. */
  async function refuseForeign(): Promise<void> {
    const found = await presentOr<string[], string[]>(
      [],
      files.readdir(join(root, 'docker', 'registry', 'v2')),
    );
    if (found.includes('repositories')) throw new ForeignRegistry(root, 'another directory (--data)');
  }

  /**
   * Only the owner can read the root, as the database may be in it. Folders created above it are synced too, to survive a power cut.
   */
  async function makeRoot(): Promise<void> {
    const topmost = await files.mkdir(root, { recursive: true, mode: 0o700 });
    if (topmost === undefined) return;
    for (let path = resolve(root); path !== dirname(resolve(topmost)); path = dirname(path)) {
      await syncPath(dirname(path));
    }
  }

  /** Resolves when `path` and its parents below the root survive a power cut, whichever process created them. */
  function ensureFolder(path: string): Promise<void> {
    if (path === root) return Promise.resolve();
    let made = durableFolders.get(path);
    if (made === undefined) {
      made = makeFolder(path).catch((error) => {
        durableFolders.delete(path);
        throw error;
      });
      durableFolders.set(path, made);
    }
    return made;
  }

  async function makeFolder(path: string): Promise<void> {
    await ensureFolder(dirname(path));
    await files.mkdir(path, { recursive: true });
    await syncPath(dirname(path));
  }

  async function syncPath(path: string): Promise<void> {
    const fd = await files.open(path, O_RDONLY | O_DIRECTORY);
    try {
      await files.fsync(fd);
    } finally {
      await files.close(fd);
    }
  }

  async function* walk(folder: string): AsyncIterable<StoredFile<string>> {
    for (const entry of await presentOr([], files.readdir(folder, { withFileTypes: true }))) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) yield* walk(path);
      const found = entry.isFile() && (await presentOr(undefined, files.stat(path)));
      if (found) yield { name: path, modifiedAt: found.mtimeMs };
    }
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
      for await (const { name, modifiedAt } of walk(join(root, blobsFolder))) {
        yield { name: relative(root, name).split(sep).join('/') as BlobKey, modifiedAt };
      }
    },

    async append(upload, body, options) {
      const { size, staged } = upload;
      let fd: number | undefined;
      // Opened at the first write: a PUT that only closes an upload touches no file here.
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
        // The hash of these bytes is lost, so they are useless, and they may be what fills the disk.
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
      // The former writer may still write to its own file, which the sweep deletes once the session is over.
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
        // A repeated commit: the file was renamed before, only the folders may need a sync.
        if ((await presentOr(undefined, files.stat(path)))?.size !== size) throw new UploadLost(upload.id);
      } else {
        try {
          await cutTo(upload, fd);
          await files.fsync(fd).catch(async (error) => {
            // The kernel may have dropped the bytes it could not write and report success for the next fsync: a repeat must not
            // commit them.
            await files.unlink(stagedPath(upload)).catch(() => {});
            throw error;
          });
        } finally {
          await files.close(fd);
        }
        const folder = dirname(path);
        await ensureFolder(dirname(folder));
        await files.mkdir(folder, { recursive: true });
        await files.rename(stagedPath(upload), path);
      }
      // The blob's folder is usually new; another push of the same digest may have created it without syncing it yet.
      await Promise.all([syncPath(dirname(path)), syncPath(dirname(dirname(path)))]);
    },

    async abort(upload, kept) {
      if (upload.staged === kept) return;
      await presentOr(undefined, files.unlink(stagedPath(upload)));
    },

    async *listUploads() {
      for await (const { name, modifiedAt } of walk(uploadsFolder)) {
        const file = relative(uploadsFolder, name);
        yield { name: file, upload: file.split('.')[0] as string, modifiedAt };
      }
    },

    async deleteStaged(name) {
      await presentOr(undefined, files.unlink(join(uploadsFolder, name)));
    },

    ensureFreeSpace,

    readMarker: () => readMarkerFile(join(root, markerKey), files),

    async writeMarker(text) {
      await writeMarkerFile(join(root, markerKey), text, files);
      await syncPath(root);
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

  /** On a disk filled to the last byte even deletes fail: the database needs space to record them. */
  async function ensureFreeSpace(): Promise<void> {
    const now = performance.now();
    if (now - spaceSeenAt < spaceKnownFor) return;
    const { bavail, blocks, bsize } = await files.statfs(uploadsFolder);
    const reserve = Math.min(maxReserve, (blocks * bsize) / 8);
    if (bavail * bsize >= reserve) {
      spaceSeenAt = now;
      return;
    }
    const message = `less than ${Math.round(reserve)} bytes are free in ${root}`;
    throw Object.assign(new Error(message), { code: 'ENOSPC' });
  }

  async function openStaged(upload: StagedUpload): Promise<number> {
    if (upload.size === 0) return files.open(stagedPath(upload), O_CREAT | O_RDWR | O_TRUNC, 0o644);
    const fd = await presentOr(undefined, files.open(stagedPath(upload), O_RDWR));
    if (fd === undefined) throw new UploadLost(upload.id);
    try {
      await cutTo(upload, fd);
      return fd;
    } catch (error) {
      await files.close(fd);
      throw error;
    }
  }

  /** Truncates the staged file to the recorded size: an append that failed or crashed may have written more. */
  async function cutTo({ id, size }: StagedUpload, fd: number): Promise<void> {
    const found = (await files.fstat(fd)).size;
    if (found < size) throw new UploadLost(id, found);
    if (found > size) await files.ftruncate(fd, size);
  }
}
