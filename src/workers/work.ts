// A worker: the app as one process runs it, told by its primary when to begin and when to end.
import type { EventEmitter } from 'node:events';
import { type App, createApp } from '../app.ts';
import type { Config } from '../config/schema.ts';
import { endingOf } from '../failure.ts';
import type { Readiness } from '../http/operations.ts';
import { createLogger } from '../telemetry/log.ts';
import { Channel } from './channel.ts';
import type { ToPrimary, ToWorker } from './messages.ts';

type WorkerProcess = Pick<EventEmitter, 'on' | 'prependListener'> & {
  readonly pid: number;
  send?(message: ToPrimary): unknown;
  kill(pid: number, signal: string): unknown;
  exit(code: number): never;
};

/** Serves until the primary says otherwise, or is gone. */
export async function work(process: WorkerProcess): Promise<void> {
  // Before Node's own listener, which would exit: lines that wait for a reader that is gone would keep this process for ever.
  process.prependListener('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  // A terminal and a service manager signal the whole group. The primary has heard it too, and says what is to be done.
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => {});
  const begun = Promise.withResolvers<{ slot: number; config: Config }>();
  const told = Promise.withResolvers<void>();
  let app: App | undefined;
  const send = (message: ToPrimary): void => void process.send?.(message);
  const line = new Channel(send, async (question) => {
    if (app === undefined) throw new Error('starting');
    const { metrics, ready } = app.operations;
    return question === 'metrics' ? metrics.getMetricsAsJSON() : ready();
  });
  process.on('message', (message: ToWorker) => {
    if (message.type === 'serve') begun.resolve(message);
    else if (message.type === 'stop') told.resolve();
    else void line.hear(message);
  });

  const { slot, config } = await begun.promise;
  const logger = createLogger(config.log).child({ worker: slot });
  process.on('uncaughtException', (error: unknown, origin: string) => {
    logger.fatal({ err: error, origin }, 'a fault that nobody caught');
    process.exit(1);
  });
  try {
    app = await createApp(config, { logger, worker: { operations: operationsOfAll(config, line) } });
    const { url } = await app.listen();
    send({ type: 'listening', url });
  } catch (error) {
    await app?.close();
    send({ type: 'failed', ending: endingOf(error) });
  }
  await told.promise;
  await app?.close();
  process.exit(0);
}

/** On the registry's own listener any worker may be asked, and answers for all. */
function operationsOfAll({ operations }: Config, line: Channel) {
  if (operations) return 'elsewhere';
  return {
    metrics: {
      contentType: 'text/plain; version=0.0.4; charset=utf-8' as const,
      metrics: async () => (await line.ask('metrics')) as string,
    },
    ready: async () => (await line.ask('ready')) as Readiness,
  };
}
