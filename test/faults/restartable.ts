import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type App, createApp } from '../../src/app.ts';
import { configSchema } from '../../src/config/schema.ts';

/** A registry on a real socket that can be closed and opened again on the same data, at another URL. */
export class RestartableRegistry {
  readonly data: string;
  #app: App | undefined;
  #url = '';

  private constructor(data: string) {
    this.data = data;
  }

  static async open(t: TestContext): Promise<RestartableRegistry> {
    const registry = new RestartableRegistry(await mkdtemp(join(tmpdir(), 'berth-test-')));
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
    const { data } = this;
    this.#app = await createApp(
      configSchema.parse({ data, listen: '127.0.0.1:0', log: { level: 'silent' } }),
    );
    this.#url = (await this.#app.listen()).url;
  }
}
