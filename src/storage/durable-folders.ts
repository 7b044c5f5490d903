import fs from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Files } from './files.ts';

const { O_DIRECTORY, O_RDONLY } = fs.constants;

/** Creates folders below a root and syncs them, so that they survive a power cut. */
export class DurableFolders {
  readonly #root: string;
  readonly #files: Files;
  /** Folders that are synced to disk, or are being synced. Only down to those named by two hex digits, so at most some hundreds. */
  readonly #made = new Map<string, Promise<void>>();

  constructor(root: string, files: Files) {
    this.#root = root;
    this.#files = files;
  }

  /**
   * Creates the root, readable only by its owner, because it may contain the database. Also syncs the folders created above it.
   */
  async makeRoot(): Promise<void> {
    const topmost = await this.#files.mkdir(this.#root, { recursive: true, mode: 0o700 });
    if (topmost === undefined) return;
    for (let path = resolve(this.#root); path !== dirname(resolve(topmost)); path = dirname(path)) {
      await this.sync(dirname(path));
    }
  }

  /** Resolves when `path` and its parents below the root survive a power cut, whichever process created them. */
  ensure(path: string): Promise<void> {
    if (path === this.#root) return Promise.resolve();
    let made = this.#made.get(path);
    if (made === undefined) {
      made = this.#make(path).catch((error) => {
        this.#made.delete(path);
        throw error;
      });
      this.#made.set(path, made);
    }
    return made;
  }

  /** Syncs a folder's entries, not the contents of its files. */
  async sync(path: string): Promise<void> {
    const fd = await this.#files.open(path, O_RDONLY | O_DIRECTORY);
    try {
      await this.#files.fsync(fd);
    } finally {
      await this.#files.close(fd);
    }
  }

  async #make(path: string): Promise<void> {
    await this.ensure(dirname(path));
    await this.#files.mkdir(path, { recursive: true });
    await this.sync(dirname(path));
  }
}
