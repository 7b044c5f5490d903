import cluster, { type Worker } from 'node:cluster';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import type { Config } from '../config/schema.ts';
import { FailedElsewhere } from '../failure.ts';
import { logLine } from '../telemetry/log.ts';
import { Channel, type Question } from './channel.ts';
import type { ToPrimary, ToWorker } from './messages.ts';

/** Milliseconds before a worker that died is replaced, doubled each time it dies young. */
const firstPause = 100;
const longestPause = 10_000;
const young = 60_000;

interface Member {
  readonly worker: Worker;
  readonly line: Channel;
  readonly exited: Promise<void>;
}

export interface PoolParts {
  readonly config: Config;
  readonly logger: Logger;
  /** What a worker hears that asks of all. */
  readonly answer: (question: Question) => Promise<unknown>;
}

/** The workers: started together, replaced when they die, ended together. */
export class Pool {
  readonly #parts: PoolParts;
  /** By slot, a number from 1 that a worker's successor takes over. */
  readonly #members = new Map<number, Member>();
  /** How long the next worker of a slot waits. */
  readonly #pauses = new Map<number, number>();
  readonly #stopped = new AbortController();

  constructor(parts: PoolParts) {
    this.#parts = parts;
    // Workers take connections themselves. Handed out by the primary, one that is on its way to a worker that is killed would
    // be neither answered nor closed, and every one would wait for the primary.
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    cluster.setupPrimary({
      exec: fileURLToPath(new URL('../worker.ts', import.meta.url)),
      args: [],
      serialization: 'advanced',
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    // However this process ends, short of being killed, no worker outlives it.
    process.once('exit', () => {
      for (const { worker } of this.#members.values()) worker.process.kill('SIGKILL');
    });
  }

  /** Starts them all; resolves with the URL at which they listen. @throws FailedElsewhere when one cannot start */
  async start(): Promise<string> {
    const slots = Array.from({ length: this.#parts.config.workers }, (_, i) => i + 1);
    const [url] = await Promise.all(slots.map((slot) => this.#begin(slot)));
    return url as string;
  }

  /** Asks each of them. @throws Error when one does not answer, or says that something is wrong */
  async ask(question: Question): Promise<unknown[]> {
    if (this.#members.size < this.#parts.config.workers) throw new Error('a worker is being replaced');
    return Promise.all([...this.#members.values()].map(({ line }) => line.ask(question)));
  }

  /** Lets each end as `App.close` does. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    const members = [...this.#members.values()];
    for (const { worker } of members) tell(worker, { type: 'stop' });
    await Promise.all(members.map(({ exited }) => exited));
  }

  /** Starts the worker of a slot; resolves with its URL once it listens. */
  #begin(slot: number): Promise<string> {
    const { config, logger, answer } = this.#parts;
    const listening = Promise.withResolvers<string>();
    const exit = Promise.withResolvers<void>();
    const worker = cluster.fork();
    const line = new Channel((said) => tell(worker, said), answer);
    const member = { worker, line, exited: exit.promise };
    this.#members.set(slot, member);
    const gone = (reason: Error): void => {
      if (this.#members.get(slot) === member) this.#members.delete(slot);
      line.hangUp(reason.message);
      listening.reject(reason);
      exit.resolve();
    };
    createInterface({ input: worker.process.stdout as NodeJS.ReadableStream }).on('line', (text) =>
      logLine(logger, text),
    );
    let url: string | undefined;
    const startedAt = performance.now();
    worker.on('message', (message: ToPrimary) => {
      if (message.type === 'listening') {
        url = message.url;
        listening.resolve(url);
      } else if (message.type === 'failed') {
        listening.reject(new FailedElsewhere(message.ending));
        tell(worker, { type: 'stop' });
      } else void line.hear(message);
    });
    // The system has no process or no descriptor to give.
    worker.once('error', gone);
    worker.once('exit', (code: number | null, signal: string | null) => {
      const text = `a worker ended with ${signal ?? `exit code ${code}`}`;
      gone(new FailedElsewhere({ exitCode: 1, text: `berth: ${text}\n` }));
      if (url === undefined || this.#stopped.signal.aborted) return;
      logger.error({ worker: slot, code, signal }, 'a worker died; its uploads can go on in 15 seconds');
      void this.#replace(slot, performance.now() - startedAt < young);
    });
    tell(worker, { type: 'serve', slot, config });
    return listening.promise;
  }

  async #replace(slot: number, again: boolean): Promise<void> {
    let pause = again ? (this.#pauses.get(slot) ?? firstPause) : firstPause;
    const { logger } = this.#parts;
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      this.#pauses.set(slot, Math.min(pause * 2, longestPause));
      await delay(pause, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      try {
        await this.#begin(slot);
        logger.info({ worker: slot }, 'the worker has been replaced');
        return;
      } catch (error) {
        logger.error({ worker: slot, err: error }, 'the worker could not be replaced yet');
        pause = this.#pauses.get(slot) as number;
      }
    }
  }
}

/** A worker that is about to end may be deaf. */
function tell(worker: Worker, message: ToWorker): void {
  if (worker.isConnected()) worker.send(message, () => {});
}
