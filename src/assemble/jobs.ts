import type { Logger } from 'pino';
import type { Sessions } from '../access/login/sessions.ts';
import { actAs } from '../administration/change.ts';
import { removeEndedSigningKeys } from '../administration/signing-keys.ts';
import type { Config } from '../config/schema.ts';
import { system } from '../db/changes.ts';
import { Jobs } from '../jobs/jobs.ts';
import { scheduleOf } from '../jobs/schedule.ts';
import { observeJobs, observeSchedule } from '../telemetry/jobs.ts';
import { backUpsOf } from './backups.ts';
import type { Data } from './data.ts';

export interface JobsParts extends Data {
  readonly opened: AsyncDisposableStack;
  readonly logger: Logger;
  readonly sessions: Sessions;
}

/** Starts the background jobs. */
export function assembleJobs(config: Config, parts: JobsParts): void {
  const { opened, logger, metrics, database, unguarded, clock, holder, sessions } = parts;
  const observer = observeJobs(logger, metrics.jobs);
  // Leases of jobs are written even while the registry is read-only.
  const jobs = new Jobs({ database: unguarded, clock, holder, observer });
  opened.defer(() => jobs.stop());
  const schedule = scheduleOf({
    ...parts,
    config,
    removeExpiredSessions: () => sessions.removeExpired(),
    removeEndedSigningKeys: () => removeEndedSigningKeys(actAs(database, system), config.access),
    backUp: backUpsOf(config, logger),
    observer: observeSchedule(logger, metrics.jobs, config.deletes),
  });
  for (const { name, every, run } of schedule) jobs.every(name, every, run);
}
