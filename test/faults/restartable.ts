import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type ActingDatabase, actAs } from '../../src/administration/change.ts';
import { type App, createApp } from '../../src/app.ts';
import { configSchema } from '../../src/config/schema.ts';
import { system } from '../../src/db/changes.ts';
import type { Database } from '../../src/db/database.ts';
import { openSqlite } from '../../src/db/sqlite/sqlite.ts';
import { collectGarbage } from '../../src/jobs/collect-garbage.ts';
import type { BlobStore } from '../../src/storage/blob-store.ts';
import { openFilesystemStore } from '../../src/storage/filesystem.ts';
import { cleanUp } from '../support/cleanup.ts';
import { collectionParts } from '../support/garbage.ts';
import type { ConfigInput } from '../support/registry.ts';
import { writeMigratedSqlite } from '../support/sqlite-template.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

interface Running {
  readonly app: App;
  readonly url: string;
  readonly database: Database;
  readonly store: BlobStore;
}

/** A registry on a real socket that can be closed and opened again on the same data, at another URL. */
export class RestartableRegistry {
  readonly data: string;
  readonly #overrides: ConfigInput;
  #running: Running | undefined;
  #ahead = 0;
  #lastTime = 0;

  private constructor(data: string, overrides: ConfigInput) {
    this.data = data;
    this.#overrides = overrides;
  }

  /** @param prepare changes the data of the new registry before its first start */
  static async open(
    t: TestContext,
    overrides: ConfigInput = {},
    prepare: (data: string) => Promise<void> = async () => {},
  ): Promise<RestartableRegistry> {
    const registry = new RestartableRegistry(await temporaryDirectory(t), overrides);
    cleanUp(t, () => registry.#stop());
    await writeMigratedSqlite(join(registry.data, 'berth.db'));
    await prepare(registry.data);
    await registry.#start();
    return registry;
  }

  get url(): string {
    return this.#now.url;
  }

  /** @param whileDown changes the data while the registry is closed */
  async restart(whileDown: () => void = () => {}): Promise<void> {
    await this.#stop();
    whileDown();
    await this.#start();
  }

  /** Collects garbage as if its grace had passed; sessions stay. */
  async collectGarbage(): Promise<void> {
    const { database, store } = this.#now;
    const clock = () => database.clock() + 1_000;
    await collectGarbage({ ...collectionParts(database, store), clock, expireAfter: 1e12, grace: 0 });
  }

  /** For what administrators change. */
  get administration(): ActingDatabase {
    return actAs(this.#now.database, system);
  }

  /** Moves the clock of the registry and its database forward. */
  advanceClock(milliseconds: number): void {
    this.#ahead += milliseconds;
  }

  /** Deletes the data now instead of after the test, for tests with many registries. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
    await rm(this.data, { recursive: true, force: true });
  }

  get #now(): Running {
    if (this.#running === undefined) throw new Error('the registry is closed');
    return this.#running;
  }

  /** No two times are the same, so that each push and deletion is before or after any other one. */
  #clock(): number {
    this.#lastTime = Math.max(this.#lastTime + 1, Date.now() + this.#ahead);
    return this.#lastTime;
  }

  async #start(): Promise<void> {
    const { data } = this;
    const always = { data, listen: '127.0.0.1:0', log: { level: 'silent' } };
    const store = await openFilesystemStore(data);
    const opened = await openSqlite(join(data, 'berth.db'));
    const database = { ...opened, clock: () => this.#clock() };
    const app = await createApp(configSchema.parse({ ...always, ...this.#overrides }), { store, database });
    const { url } = await app.listen();
    this.#running = { app, url, store, database };
  }

  async #stop(): Promise<void> {
    const app = this.#running?.app;
    this.#running = undefined;
    await app?.close();
  }
}
