import type { TestContext } from 'node:test';
import { type App, createApp } from '../../src/app.ts';
import { configSchema } from '../../src/config/schema.ts';
import { cleanUp } from '../support/cleanup.ts';
import type { ConfigInput } from '../support/registry.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

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
    const registry = new RestartableRegistry(await temporaryDirectory(t), overrides);
    cleanUp(t, async () => registry.#app?.close());
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
