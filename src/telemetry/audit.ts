import type { Logger } from 'pino';
import type { AuditObserver } from '../audit/audit.ts';
import type { Metrics } from './metrics.ts';

/** Counts audit events. Events missing from the audit log are written to the process's log. */
export function observeAudit(logger: Logger, { audited }: Pick<Metrics, 'audited'>): AuditObserver {
  return {
    written: (events) => audited('written', events),
    lost(events) {
      audited('lost', events.length);
      for (const event of events) logger.warn({ event }, 'an audit event could not be written');
    },
    failed: (error, waiting) =>
      logger.warn({ err: error, waiting }, 'audit events cannot be written; they wait in memory'),
  };
}
