import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import type { Archive, ArchivedFile } from './archive.ts';
import { InvalidArchive } from './invalid-archive.ts';
import { indexTar } from './tar-index.ts';

export interface Spool {
  /** Folder for a temporary copy of an archive that is compressed or comes from standard input. */
  readonly folder: string;
  /** @throws an error with the code ENOSPC */
  readonly ensureFreeSpace: () => Promise<void>;
  readonly signal?: AbortSignal | undefined;
}

/** Bytes read at once from an archive. */
const chunkSize = 1 << 20;

/**
 * Opens a directory, a tar archive or a tar archive compressed with gzip. A stream or a compressed archive is written to a temporary
 * file first, because the index of an image layout may be its last file.
 *
 * @param source a path, or the bytes of an archive
 * @throws InvalidArchive, or a system error
 */
export async function openArchive(
  source: string | AsyncIterable<Uint8Array>,
  spool: Spool,
): Promise<Archive> {
  if (typeof source === 'string' && (await stat(source)).isDirectory()) return openDirectory(source);
  let handle = typeof source === 'string' ? await openRegular(source) : await writeSpool(source, spool);
  try {
    if (await isGzip(handle)) {
      const compressed = handle;
      handle = await writeSpool(decompress(compressed), spool);
      await compressed.close();
    }
    return await openTar(handle);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function openRegular(path: string): Promise<FileHandle> {
  // Without O_NONBLOCK the open of a named pipe waits for its writer.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  throw new InvalidArchive(`${path} is neither a file nor a directory; use - to read standard input`);
}

async function openTar(handle: FileHandle): Promise<Archive> {
  const entries = await indexTar(handle, (await handle.stat()).size);
  return {
    async find(path) {
      const entry = entries.get(path);
      return entry && { size: entry.size, open: () => readPart(handle, entry.offset, entry.size) };
    },
    close: () => handle.close(),
  };
}

/** Reads a directory; links in it are not followed. */
function openDirectory(root: string): Archive {
  return {
    async find(path): Promise<ArchivedFile | undefined> {
      const folders = path.split('/').slice(0, -1);
      for (const [i] of folders.entries()) {
        const folder = join(root, ...folders.slice(0, i + 1));
        const found = await present(lstat(folder));
        if (found === undefined) return undefined;
        if (!found.isDirectory()) throw new InvalidArchive(`${folder} is not a directory`);
      }
      const file = join(root, path);
      const found = await present(lstat(file));
      if (found === undefined) return undefined;
      if (!found.isFile()) throw new InvalidArchive(`${file} is not a regular file`);
      const { size } = found;
      return { size, open: () => Readable.from(readFile(file, size), { objectMode: false }) };
    },
    async close() {},
  };
}

async function* readFile(path: string, size: number): AsyncGenerator<Buffer> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    yield* chunksOf(handle, 0, size);
  } finally {
    await handle.close();
  }
}

/** Not a stream of the handle: each of those leaves a listener on it. */
function readPart(handle: FileHandle, start: number, size: number): Readable {
  return Readable.from(chunksOf(handle, start, size), { objectMode: false });
}

async function* chunksOf(handle: FileHandle, start: number, size: number): AsyncGenerator<Buffer> {
  for (let done = 0; done < size; ) {
    const length = Math.min(chunkSize, size - done);
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(length), 0, length, start + done);
    if (bytesRead === 0) throw new InvalidArchive('the archive became shorter while it was read');
    done += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

async function present<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function isGzip(handle: FileHandle): Promise<boolean> {
  const { buffer } = await handle.read(Buffer.alloc(2), 0, 2, 0);
  return buffer[0] === 0x1f && buffer[1] === 0x8b;
}

async function* decompress(handle: FileHandle): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip();
  // Its error also ends the loop.
  pipeline(chunksOf(handle, 0, (await handle.stat()).size), gunzip).catch(() => {});
  try {
    yield* gunzip;
  } catch (cause) {
    if (!(cause as NodeJS.ErrnoException).code?.startsWith('Z_')) throw cause;
    throw new InvalidArchive('the archive is not valid gzip, or is cut off', { cause });
  }
}

/** Writes to a temporary file that has no name, so that it ends with the process. */
async function writeSpool(source: AsyncIterable<Uint8Array>, spool: Spool): Promise<FileHandle> {
  const path = join(spool.folder, `import-${randomUUID()}`);
  const handle = await open(path, 'wx+', 0o600);
  try {
    await unlink(path);
    for await (const chunk of source) {
      spool.signal?.throwIfAborted();
      await spool.ensureFreeSpace();
      await handle.appendFile(chunk);
    }
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}
