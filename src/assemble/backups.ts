import type { Logger } from 'pino';
import manifest from '../../package.json' with { type: 'json' };
import type { Config } from '../config/schema.ts';
import { type BackedUp, backUp } from '../core/backup/back-up.ts';
import { inspectDatabase, openBackups, openCopies } from '../open.ts';

/** The function that makes a backup as configured, over connections of its own; `undefined` if `backup.to` is not set. */
export function backUpsOf(
  config: Config,
  logger: Logger,
): ((signal: AbortSignal) => Promise<BackedUp>) | undefined {
  const { to, keep, blobs: isCopied } = config.backup;
  if (to === undefined) return undefined;
  return async (signal) => {
    await using opened = new AsyncDisposableStack();
    const backups = await openBackups(to, config);
    opened.defer(async () => backups.close());
    const database = await inspectDatabase(config);
    opened.defer(() => database.close());
    const blobs = isCopied ? await openCopies(config, backups, opened) : undefined;
    const problem = (text: string): void => logger.error(`backup: ${text}`);
    const observer = { async begin() {}, done() {}, problem };
    // Awaited here, as everything is closed when this function returns.
    return await backUp({ database, backups, blobs, keep, version: manifest.version, signal, observer });
  };
}
