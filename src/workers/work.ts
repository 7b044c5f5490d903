// A worker process: runs the app, started and stopped by messages of the primary.
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

/** Serves until the primary sends `stop` or ends. */
export async function work(process: WorkerProcess): Promise<void> {
  // Runs before Node's own listener, which would exit normally: log lines that wait for the closed pipe would then keep this process
  // running.
  process.prependListener('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  // Terminals and service managers signal the whole process group. The primary gets the signal too and sends `stop`.
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => {});
  const begun = Promise.withResolvers<{ slot: number; config: Config }>();
  const stopped = Promise.withResolvers<void>();
  let app: App | undefined;
  const send = (message: ToPrimary): void => void process.send?.(message);
  const channel = new Channel(send, async (question) => {
    if (app === undefined) throw new Error('starting');
    const { metrics, ready } = app.operations;
    return question === 'metrics' ? metrics.getMetricsAsJSON() : ready();
  });
  process.on('message', (message: ToWorker) => {
    if (message.type === 'serve') begun.resolve(message);
    else if (message.type === 'stop') stopped.resolve();
    else void channel.receive(message);
  });

  const { slot, config } = await begun.promise;
  const logger = createLogger(config.log).child({ worker: slot });
  process.on('uncaughtException', (error: unknown, origin: string) => {
    logger.fatal({ err: error, origin }, 'uncaught exception');
    process.exit(1);
  });
  try {
    app = await createApp(config, { logger, worker: { operations: operationsOfAll(config, channel) } });
    const { url } = await app.listen();
    send({ type: 'listening', url });
  } catch (error) {
    await app?.close();
    send({ type: 'failed', ending: endingOf(error) });
  }
  await stopped.promise;
  await app?.close();
  process.exit(0);
}

/** On the registry's own listener any worker answers health and metrics for all workers. */
function operationsOfAll({ operations }: Config, channel: Channel) {
  if (operations) return 'elsewhere';
  return {
    metrics: {
      contentType: 'text/plain; version=0.0.4; charset=utf-8' as const,
      metrics: async () => (await channel.ask('metrics')) as string,
    },
    ready: async () => (await channel.ask('ready')) as Readiness,
  };
}
