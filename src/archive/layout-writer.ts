// Writes an OCI image layout as a directory or a tar archive, under a temporary name until it is complete.
import { type FileHandle, lstat, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Header } from 'tar/header';
import { Pax } from 'tar/pax';
import { TargetExists } from './target-exists.ts';

/** Bytes of one file, in order. */
export type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

export interface LayoutWriter extends AsyncDisposable {
  /** Adds a file of exactly `size` bytes. Each path is added once. */
  add(path: string, size: number, chunks: Chunks): Promise<void>;
  /** Completes the layout and gives it its name. Without this call its disposal removes what was written. */
  finish(): Promise<void>;
}

/**
 * @param target a file if it ends with `.tar`, else a directory
 * @param force replace an existing file, or a directory that is an image layout
 * @throws TargetExists, or a system error
 */
export async function createLayout(target: string, force: boolean): Promise<LayoutWriter> {
  const path = resolve(target);
  const isTar = path.endsWith('.tar');
  await refuseExisting(path, isTar, force);
  const temporary = `${path}.partial-${process.pid}`;
  return isTar ? createTar(path, temporary) : createDirectory(path, temporary);
}

async function refuseExisting(path: string, isTar: boolean, force: boolean): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (isTar && found.isFile()) {
    if (force) return;
    throw new TargetExists(`${path} exists; --force replaces it`);
  }
  if (isTar || !found.isDirectory()) {
    throw new TargetExists(
      `${path} exists and is not ${isTar ? 'a file' : 'a directory'}; choose another name`,
    );
  }
  const names = await readdir(path);
  if (names.length === 0) return;
  // A mistyped name must not delete a home directory.
  if (!names.includes('oci-layout')) {
    throw new TargetExists(`${path} is not empty and is not an OCI image layout; choose another directory`);
  }
  if (!force) throw new TargetExists(`${path} is not empty; --force replaces it`);
}

async function createTar(path: string, temporary: string): Promise<LayoutWriter> {
  const handle = await open(temporary, 'wx', 0o644);
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (isOpen) await handle.close();
    isOpen = false;
  };
  return {
    async add(name, size, chunks) {
      await handle.appendFile(headerOf(name, size));
      await append(handle, name, size, chunks);
      await handle.appendFile(Buffer.alloc((512 - (size % 512)) % 512));
    },
    async finish() {
      await handle.appendFile(Buffer.alloc(1_024));
      await handle.sync();
      await close();
      await rename(temporary, path);
      await syncFolder(dirname(path));
    },
    async [Symbol.asyncDispose]() {
      await close();
      await rm(temporary, { force: true });
    },
  };
}

/** The time is always 0, so that the same content makes the same archive. */
function headerOf(path: string, size: number): Buffer {
  const fields = { path, size, mode: 0o644, uid: 0, gid: 0, mtime: new Date(0), type: 'File' as const };
  const header = Buffer.alloc(512);
  const needsPax = new Header(fields).encode(header);
  return needsPax ? Buffer.concat([new Pax({ path, size }).encode(), header]) : header;
}

async function createDirectory(path: string, temporary: string): Promise<LayoutWriter> {
  await mkdir(temporary);
  const folders = new Set<string>([temporary]);
  return {
    async add(name, size, chunks) {
      const file = join(temporary, name);
      const folder = dirname(file);
      if (!folders.has(folder)) await mkdir(folder, { recursive: true });
      folders.add(folder);
      await using handle = await open(file, 'wx', 0o644);
      await append(handle, name, size, chunks);
      await handle.sync();
    },
    async finish() {
      for (const folder of folders) await syncFolder(folder);
      const replaced = `${temporary}.replaced`;
      const existed = await rename(path, replaced).then(
        () => true,
        () => false,
      );
      await rename(temporary, path);
      await syncFolder(dirname(path));
      if (existed) await rm(replaced, { recursive: true, force: true });
    },
    async [Symbol.asyncDispose]() {
      await rm(temporary, { recursive: true, force: true });
    },
  };
}

async function append(handle: FileHandle, name: string, size: number, chunks: Chunks): Promise<void> {
  let written = 0;
  for await (const chunk of chunks) {
    written += chunk.length;
    if (written > size) break;
    await handle.appendFile(chunk);
  }
  if (written !== size) throw new Error(`${name} should have ${size} bytes, but has ${written}`);
}

async function syncFolder(path: string): Promise<void> {
  await using handle = await open(path);
  await handle.sync();
}
