// berth serve: from a configuration to a registry that listens, until a signal ends it.
import type { EventEmitter } from 'node:events';
import type { Command } from 'commander';
import type { Logger } from 'pino';
import manifest from '../../package.json' with { type: 'json' };
import { bucketOf, serverOf } from '../config/places.ts';
import type { Config } from '../config/schema.ts';
import { registryName, startWarnings } from '../greeting.ts';
import type { Listening, Service } from '../service.ts';
import { createLogger, isPretty } from '../telemetry/log.ts';
import { configOf, withConfigFlags } from './config-flags.ts';
import type { Context } from './context.ts';
import { ensureListenable } from './ensure-listenable.ts';

const { version } = manifest;

export function serveCommand(command: Command, context: Context): void {
  withConfigFlags(command).action(async (_options, command: Command) => {
    const { config, file } = configOf(command, context);
    await ensureListenable([config.listen, ...(config.operations ? [config.operations.listen] : [])]);
    // Here, not above: its help needs neither the server nor the time that it takes to load.
    const createService =
      config.workers > 1
        ? (await import('../workers/primary.ts')).createPrimary
        : (await import('../app.ts')).createApp;
    await serve(config, { createService, context, process, file });
  });
}

/**
 * Milliseconds in which a second signal is the first one again: npm and timeout(1) pass on what the terminal
 * or the process group has delivered already.
 */
const ECHO = 100;

export interface ServeParts {
  createService(config: Config, parts: { logger: Logger }): Promise<Service>;
  readonly context: Pick<Context, 'out'>;
  /** The file that the configuration was read from, if any. */
  readonly file?: string | undefined;
  /** Where signals and the faults that nobody caught arrive, and what ends at once. */
  readonly process: Pick<EventEmitter, 'on' | 'off'> & { exit(code: number): void };
}

/** Runs until the first SIGTERM or SIGINT has been obeyed; a second one ends the process at once. */
export async function serve(config: Config, parts: ServeParts): Promise<void> {
  const { createService, process } = parts;
  const logger = createLogger(config.log);
  // Registered before anything opens: process 1 of a container has no default action for a signal.
  using supervision = supervise(logger, process);
  const service = await createService(config, { logger });
  try {
    const listening = await service.listen();
    announce(config, listening, logger, parts);
    for (const warning of startWarnings(config, listening.url)) logger.warn(warning);
    const signal = await supervision.signal;
    logger.info({ signal }, 'stopping: running transfers may end; a second signal ends them now');
  } finally {
    await service.close();
  }
}

function supervise(logger: Logger, process: ServeParts['process']): Disposable & { signal: Promise<string> } {
  const { promise, resolve } = Promise.withResolvers<string>();
  let asked: 'no' | 'just now' | 'before' = 'no';
  const onSignal = (signal: string) => {
    if (asked === 'before') {
      logger.fatal({ signal }, 'ended by a second signal');
      process.exit(1);
    } else if (asked === 'no') {
      asked = 'just now';
      setTimeout(() => (asked = 'before'), ECHO).unref();
      resolve(signal);
    }
  };
  // Unhandled rejections arrive here too, with their name as the origin.
  const onFault = (error: unknown, origin: string) => {
    logger.fatal({ err: error, origin }, 'a fault that nobody caught');
    process.exit(1);
  };
  const listeners = { SIGTERM: onSignal, SIGINT: onSignal, uncaughtException: onFault };
  for (const [event, listener] of Object.entries(listeners)) process.on(event, listener);
  return {
    signal: promise,
    [Symbol.dispose]() {
      for (const [event, listener] of Object.entries(listeners)) process.off(event, listener);
    },
  };
}

function announce(config: Config, listening: Listening, logger: Logger, { context, file }: ServeParts): void {
  const { url, operationsUrl } = listening;
  if (!isPretty(config.log)) {
    // Whatever the level, and at once: who starts a process waits for this line.
    logger
      .child({}, { level: 'info' })
      .info(
        { version, url, operationsUrl, ...(file !== undefined && { file }), ...placesOf(config) },
        `Berth ${version} listening on ${url}`,
      );
    logger.flush();
    return;
  }
  const places = Object.entries(placesOf(config)).map(([what, place]) => `${what} in ${place}`);
  const lines = [`Berth ${version} listening on ${url}`, ...places];
  if (file !== undefined) lines.push(`settings in ${file}`);
  if (operationsUrl) lines.push(`health and metrics on ${operationsUrl}`);
  const registry = registryName(config, url);
  const first =
    config.anonymous === 'push'
      ? [
          'a first push:',
          '  docker pull hello-world',
          `  docker tag hello-world ${registry}/hello`,
          `  docker push ${registry}/hello`,
        ]
      : ['to log in:', `  docker login ${registry}`];
  lines.push('', ...first, '');
  context.out(`${lines.join('\n')}\n`);
}

/** Where the registry has what it knows and what it holds, without a secret. */
function placesOf({ data, database, storage }: Config): Readonly<Record<string, string>> {
  const metadata = database.url === undefined ? undefined : serverOf(database.url);
  const blobs = storage.type === 's3' ? bucketOf(storage.s3) : undefined;
  return {
    ...((metadata === undefined || blobs === undefined) && { data }),
    ...(metadata !== undefined && { metadata: `PostgreSQL at ${metadata}` }),
    ...(blobs !== undefined && { blobs }),
  };
}
