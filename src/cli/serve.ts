// berth serve: runs a registry until a signal stops it.
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
    // The process that only starts workers does not load the registry, which takes 17 MB.
    const createService =
      config.workers > 1
        ? (await import('../workers/primary.ts')).createPrimary
        : (await import('../app.ts')).createApp;
    await serve(config, { createService, context, process, file });
  });
}

/**
 * Milliseconds after a signal in which another one is ignored: npm and timeout(1) forward a signal that the terminal or the process
 * group has already delivered.
 */
const DUPLICATE_WINDOW = 100;

export interface ServeParts {
  createService(config: Config, parts: { logger: Logger }): Promise<Service>;
  readonly context: Pick<Context, 'out'>;
  /** The configuration file, if any. */
  readonly file?: string | undefined;
  /** Emits signals and uncaught exceptions; `exit` ends the process at once. */
  readonly process: Pick<EventEmitter, 'on' | 'off'> & { exit(code: number): void };
}

/** Runs until SIGTERM or SIGINT, and shuts down; a second signal ends the process at once. */
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
    logger.info({ signal }, 'stopping: running transfers may finish; a second signal ends them now');
  } finally {
    await service.close();
  }
}

function supervise(logger: Logger, process: ServeParts['process']): Disposable & { signal: Promise<string> } {
  const { promise, resolve } = Promise.withResolvers<string>();
  let signalled: 'no' | 'just now' | 'before' = 'no';
  const onSignal = (signal: string) => {
    if (signalled === 'before') {
      logger.fatal({ signal }, 'stopped by a second signal');
      process.exit(1);
    } else if (signalled === 'no') {
      signalled = 'just now';
      setTimeout(() => (signalled = 'before'), DUPLICATE_WINDOW).unref();
      resolve(signal);
    }
  };
  // Unhandled rejections arrive here too, with their name as the origin.
  const onFault = (error: unknown, origin: string) => {
    logger.fatal({ err: error, origin }, 'uncaught exception');
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
    // At any log level, and flushed at once: supervisors wait for this line.
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

/** The locations of metadata and blobs, without secrets. */
function placesOf({ data, database, storage }: Config): Readonly<Record<string, string>> {
  const metadata = database.url === undefined ? undefined : serverOf(database.url);
  const blobs = storage.type === 's3' ? bucketOf(storage.s3) : undefined;
  return {
    ...((metadata === undefined || blobs === undefined) && { data }),
    ...(metadata !== undefined && { metadata: `PostgreSQL at ${metadata}` }),
    ...(blobs !== undefined && { blobs }),
  };
}
