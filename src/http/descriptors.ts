import { closeSync, openSync } from 'node:fs';
import type { FastifyBaseLogger } from 'fastify';

const every = 1_000;
/** Milliseconds between two log lines. */
const quiet = 60_000;

const atLimit =
  'limit of open files reached: new connections are dropped, and requests that need a file fail. ' +
  'Raise the limit (ulimit -n, LimitNOFILE= of systemd, --ulimit nofile= of docker), or lower limits.maxConnections';

/**
 * Logs that the process has reached its limit of open files. At the limit libuv accepts connections only to close them, and
 * reports no error; so a file is opened every second to detect the limit.
 *
 * @param open opens a file and closes it; throws EMFILE or ENFILE at the limit
 */
export function watchDescriptors(
  logger: FastifyBaseLogger,
  open = (): void => closeSync(openSync('/dev/null', 'r')),
): { close(): void } {
  let loggedAt = Number.NEGATIVE_INFINITY;
  const timer = setInterval(() => {
    try {
      open();
    } catch (error) {
      const now = performance.now();
      if (now - loggedAt < quiet) return;
      loggedAt = now;
      logger.error({ code: (error as NodeJS.ErrnoException).code }, atLimit);
    }
  }, every).unref();
  return { close: () => clearInterval(timer) };
}
