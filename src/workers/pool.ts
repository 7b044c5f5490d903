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

/** Milliseconds before a dead worker is replaced; doubled each time that a worker dies within `minLifetime`. */
const firstPause = 100;
const longestPause = 10_000;
const minLifetime = 60_000;

interface Member {
  readonly worker: Worker;
  readonly channel: Channel;
  readonly exited: Promise<void>;
}

export interface PoolParts {
  readonly config: Config;
  readonly logger: Logger;
  /** Answers a worker's question about all workers. */
  readonly answer: (question: Question) => Promise<unknown>;
}

/** The worker processes: starts them, replaces those that die, stops them together. */
export class Pool {
  readonly #parts: PoolParts;
  /** Workers by slot, a number from 1. A replacement gets the slot of the dead worker. */
  readonly #members = new Map<number, Member>();
  /** Milliseconds before the next worker of a slot starts. */
  readonly #pauses = new Map<number, number>();
  readonly #stopped = new AbortController();

  constructor(parts: PoolParts) {
    this.#parts = parts;
    // Workers accept connections themselves. If the primary accepted them, each connection would wait for the primary, and those
    // being passed to a killed worker would be neither answered nor closed.
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    cluster.setupPrimary({
      exec: fileURLToPath(new URL('../worker.ts', import.meta.url)),
      args: [],
      serialization: 'advanced',
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    // Kills workers that still run when this process exits. (If this process is killed, they see a closed channel.)
    process.once('exit', () => {
      for (const { worker } of this.#members.values()) worker.process.kill('SIGKILL');
    });
  }

  /** Starts all workers; resolves with the URL on which they listen. @throws FailedElsewhere when one cannot start */
  async start(): Promise<string> {
    const slots = Array.from({ length: this.#parts.config.workers }, (_, i) => i + 1);
    const [url] = await Promise.all(slots.map((slot) => this.#begin(slot)));
    return url as string;
  }

  /** Asks every worker. @throws Error when one does not answer or answers with an error */
  async ask(question: Question): Promise<unknown[]> {
    if (this.#members.size < this.#parts.config.workers) throw new Error('a worker is being replaced');
    return Promise.all([...this.#members.values()].map(({ channel }) => channel.ask(question)));
  }

  /** Stops every worker as `App.close` does. */
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
    const channel = new Channel((message) => tell(worker, message), answer);
    const member = { worker, channel, exited: exit.promise };
    this.#members.set(slot, member);
    const gone = (reason: Error): void => {
      if (this.#members.get(slot) === member) this.#members.delete(slot);
      channel.close(reason.message);
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
      } else void channel.receive(message);
    });
    // For example, the system has no process or file descriptor left.
    worker.once('error', gone);
    worker.once('exit', (code: number | null, signal: string | null) => {
      const text = `a worker ended with ${signal ?? `exit code ${code}`}`;
      gone(new FailedElsewhere({ exitCode: 1, text: `berth: ${text}\n` }));
      if (url === undefined || this.#stopped.signal.aborted) return;
      logger.error(
        { worker: slot, code, signal },
        'a worker died; its uploads can be resumed after 15 seconds',
      );
      void this.#replace(slot, performance.now() - startedAt < minLifetime);
    });
    tell(worker, { type: 'serve', slot, config });
    return listening.promise;
  }

  async #replace(slot: number, diedEarly: boolean): Promise<void> {
    let pause = diedEarly ? (this.#pauses.get(slot) ?? firstPause) : firstPause;
    const { logger } = this.#parts;
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      this.#pauses.set(slot, Math.min(pause * 2, longestPause));
      await delay(pause, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      try {
        await this.#begin(slot);
        logger.info({ worker: slot }, 'worker replaced');
        return;
      } catch (error) {
        logger.error({ worker: slot, err: error }, 'replacing a worker failed; retrying');
        pause = this.#pauses.get(slot) as number;
      }
    }
  }
}

/** Sends a message, unless the worker has disconnected and is about to end. */
function tell(worker: Worker, message: ToWorker): void {
  if (worker.isConnected()) worker.send(message, () => {});
}
