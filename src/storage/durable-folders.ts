import fs from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Files } from './files.ts';

const { O_DIRECTORY, O_RDONLY } = fs.constants;

/** Folders below a root that survive a power cut once they are made. */
export class DurableFolders {
  readonly #root: string;
  readonly #files: Files;
  /** Folders that are, or are being, synced to disk; two hex digits deep, so at most some hundreds. */
  readonly #made = new Map<string, Promise<void>>();

  constructor(root: string, files: Files) {
    this.#root = root;
    this.#files = files;
  }

  /**
   * Only the owner can read the root, as the database may be in it. Folders created above it are synced too, to survive a power cut.
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

  /** Syncs the entries of a folder. */
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
