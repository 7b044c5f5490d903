import type { Logger } from 'pino';
import type { Metrics } from './metrics.ts';

/** Logs once why database and blob store do not belong together, and shows it in the metrics as long as it lasts. */
export function observeAgreement(logger: Logger, metrics: Metrics): (problem: unknown) => void {
  let logged: string | undefined;
  return (problem) => {
    const { name, message } = (problem ?? {}) as Error;
    if (problem === undefined) {
      metrics.storeAgrees(true);
      if (logged !== undefined) logger.info('the database and the blob store agree again');
      logged = undefined;
    } else if (name === 'StoreDisagrees' || name === 'StoreMismatch') {
      metrics.storeAgrees(false);
      if (message !== logged) logger.error(message);
      logged = message;
    } else if (name !== 'ReadOnlyRegistry') {
      logger.warn({ err: problem }, 'raising the epoch failed; retrying');
    }
  };
}
