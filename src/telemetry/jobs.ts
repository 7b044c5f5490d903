import type { Logger } from 'pino';
import type { Config } from '../config/schema.ts';
import type { JobObserver } from '../jobs/jobs.ts';
import type { ScheduleObserver } from '../jobs/schedule.ts';
import type { JobMetrics } from './metrics.ts';

/** Counts the runs of jobs, and logs failures as errors or warnings and others at debug. */
export function observeJobs(logger: Logger, metrics: JobMetrics): JobObserver {
  return {
    planned: (job) => metrics.planned(job),
    started(job) {
      metrics.started(job);
      logger.debug({ job }, 'job started');
    },
    ended(job, outcome, seconds, error) {
      metrics.ended(job, outcome, seconds);
      if (outcome === 'failed') logger.error({ job, seconds, err: error }, 'job failed');
      else if (outcome === 'lost') logger.warn({ job, seconds, err: error }, 'job ended early');
      else logger.debug({ job, outcome, seconds }, 'job ended');
    },
    leaseFailed: (job, error) =>
      logger.warn({ job, err: error }, 'reading or renewing the lease of a job failed; retrying'),
  };
}

const unknownBlobs =
  'found blobs without a row in the database; they are kept for deletes.keepUnknownFor, or for good if their digest is pushed';

/** Counts what garbage collection deletes, and logs the results of jobs. */
export function observeSchedule(
  logger: Logger,
  metrics: JobMetrics,
  { keepUnknownFor }: Pick<Config['deletes'], 'keepUnknownFor'>,
): ScheduleObserver {
  return {
    collected: (counts) => metrics.collected({ ...counts }),
    refused: (reason) => metrics.refused(reason),
    foundBlobs(found) {
      metrics.collected({ ...found, bytes: 0, kept: 0 });
      const { parked } = found;
      if (parked > 0) logger.warn({ parked, keepUnknown: keepUnknownFor }, unknownBlobs);
    },
    scrub: {
      read: (bytes) => metrics.scrubbed(bytes),
      blobChecked() {},
      found: (what, problem) =>
        what === 'damaged'
          ? logger.error(problem, 'stored data is damaged; push the affected images again')
          : logger.error(problem, 'a blob cannot be read; check the disk or the bucket'),
      healed: (digest) => logger.info({ digest }, 'a damaged blob has its right bytes again'),
    },
    done: (what, fields) => logger.info(fields, what),
  };
}
