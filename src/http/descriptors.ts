import { closeSync, openSync } from 'node:fs';
import type { FastifyBaseLogger } from 'fastify';

const every = 1_000;
/** Milliseconds between two lines about a process that has met its limit. */
const quiet = 60_000;

const atLimit =
  'no more files and connections can be opened: new connections are dropped, and requests that need a file fail. ' +
  'Raise the limit (ulimit -n, LimitNOFILE= of systemd, --ulimit nofile= of docker), or lower limits.maxConnections';

/**
 * Logs that the process has met its limit of open files. At the limit the system's own loop accepts connections only to close
 * them, and tells nobody; so the limit is tried.
 *
 * @param open opens a file and closes it; throws EMFILE or ENFILE at the limit
 */
export function watchDescriptors(
  logger: FastifyBaseLogger,
  open = (): void => closeSync(openSync('/dev/null', 'r')),
): { close(): void } {
  let saidAt = Number.NEGATIVE_INFINITY;
  const timer = setInterval(() => {
    try {
      open();
    } catch (error) {
      const now = performance.now();
      if (now - saidAt < quiet) return;
      saidAt = now;
      logger.error({ code: (error as NodeJS.ErrnoException).code }, atLimit);
    }
  }, every).unref();
  return { close: () => clearInterval(timer) };
}
