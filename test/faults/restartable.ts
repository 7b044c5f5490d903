import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type App, createApp } from '../../src/app.ts';
import { configSchema } from '../../src/config/schema.ts';
import type { ConfigInput } from '../support/registry.ts';

/** A registry on a real socket that can be closed and opened again on the same data, at another URL. */
export class RestartableRegistry {
  readonly data: string;
  readonly #overrides: ConfigInput;
  #app: App | undefined;
  #url = '';

  private constructor(data: string, overrides: ConfigInput) {
    this.data = data;
    this.#overrides = overrides;
  }

  static async open(t: TestContext, overrides: ConfigInput = {}): Promise<RestartableRegistry> {
    const registry = new RestartableRegistry(await mkdtemp(join(tmpdir(), 'berth-test-')), overrides);
    t.after(async () => {
      await registry.#app?.close();
      await rm(registry.data, { recursive: true, force: true });
    });
    await registry.#start();
    return registry;
  }

  get url(): string {
    return this.#url;
  }

  /** @param whileDown what happens to the data meanwhile */
  async restart(whileDown: () => void = () => {}): Promise<void> {
    await this.#app?.close();
    whileDown();
    await this.#start();
  }

  async #start(): Promise<void> {
    const always = { data: this.data, listen: '127.0.0.1:0', log: { level: 'silent' } };
    this.#app = await createApp(configSchema.parse({ ...always, ...this.#overrides }));
    this.#url = (await this.#app.listen()).url;
  }
}
