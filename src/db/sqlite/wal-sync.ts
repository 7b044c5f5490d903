import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { DatabaseUnavailable } from '../database.ts';

/**
 * Group commit. SQLite (WAL, `synchronous=NORMAL`) leaves a commit in the page cache; one `fdatasync` of the WAL file, off the event
 * loop, then makes all waiting commits durable. At most one runs; calls during a sync share the next one, as the running one may
 * have started before their commit.
 */
export class WalSync {
  readonly #path: string;
  #file: FileHandle | undefined;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #failure: DatabaseUnavailable | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Resolves when everything committed before the call is on disk. */
  sync(): Promise<void> {
    // After a failed sync the kernel may have dropped the pages and report success for the next one: nothing later would be
    // known to be on disk.
    if (this.#failure) return Promise.reject(this.#failure);
    if (this.#running === undefined) return this.#start();
    this.#next ??= this.#running.then(
      () => this.#startNext(),
      () => this.#startNext(),
    );
    return this.#next;
  }

  /** Throws the failure of an earlier sync, after which all others fail. */
  throwIfFailed(): void {
    if (this.#failure) throw this.#failure;
  }

  async close(): Promise<void> {
    await Promise.allSettled([this.#running, this.#next]);
    await this.#file?.close();
    this.#file = undefined;
  }

  #startNext(): Promise<void> {
    this.#next = undefined;
    return this.sync();
  }

  #start(): Promise<void> {
    this.#running = this.#flush().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #flush(): Promise<void> {
    try {
      this.#file ??= await open(this.#path, constants.O_RDWR);
      await this.#file.datasync();
    } catch (cause) {
      this.#failure = new DatabaseUnavailable(`syncing ${this.#path} failed; restart to recover`, { cause });
      throw this.#failure;
    }
  }
}
