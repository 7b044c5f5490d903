import type { TestContext } from 'node:test';
import type { Exit } from '../support/child.ts';
import { type BerthProcess, startBerth } from '../support/process.ts';

const startLimit = 60_000;

/** One of several `berth serve` processes that share a database and a store. It can stop and restart at the same address. */
export class Replica {
  readonly name: string;
  readonly #t: TestContext;
  readonly #env: NodeJS.ProcessEnv;
  #process: BerthProcess;
  #logs = '';

  private constructor(t: TestContext, name: string, env: NodeJS.ProcessEnv, process: BerthProcess) {
    this.#t = t;
    this.name = name;
    this.#env = env;
    this.#process = process;
  }

  /** `number` is the last part of its address, 127.0.1.NUMBER. */
  static async start(
    t: TestContext,
    number: number,
    env: NodeJS.ProcessEnv,
    data?: string,
  ): Promise<Replica> {
    const listen = `127.0.1.${number}:0`;
    const args = ['--listen', listen];
    const process = await startBerth(t, { args, env, ...(data !== undefined && { data }) });
    return new Replica(t, `replica ${number}`, env, process);
  }

  get url(): string {
    return this.#process.url;
  }

  get host(): string {
    return this.#process.host;
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** The logs of all its processes. */
  logs(): string {
    return this.#logs + this.#process.output();
  }

  stop(signal: NodeJS.Signals): Promise<Exit> {
    return this.#process.stop(signal);
  }

  /** Restarts it after a {@link stop}; tries again while its database or store is down. */
  async start(): Promise<void> {
    const { host, data } = this.#process;
    this.#logs = this.logs();
    const giveUpAt = performance.now() + startLimit;
    for (;;) {
      try {
        this.#process = await startBerth(this.#t, { args: ['--listen', host], env: this.#env, data });
        return;
      } catch (error) {
        if (performance.now() > giveUpAt) throw error;
      }
    }
  }
}
