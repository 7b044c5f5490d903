import type { Logger } from 'pino';
import type { Config } from '../config/schema.ts';
import { Blobs } from '../core/blobs.ts';
import { deletionRulesOf } from '../core/delete-image.ts';
import { Manifests } from '../core/manifests.ts';
import { Pulls } from '../core/pulls.ts';
import { Uploads } from '../core/uploads.ts';
import type { Data } from './data.ts';

/** The content of the registry. */
export interface Core {
  readonly blobs: Blobs;
  readonly uploads: Uploads;
  readonly manifests: Manifests;
  readonly pulls: Pulls;
}

export interface CoreParts extends Data {
  readonly opened: AsyncDisposableStack;
  readonly logger: Logger;
}

/** Assembles blobs, uploads, manifests and the record of pulls over the data. */
export function assembleCore(config: Config, parts: CoreParts): Core {
  const { database, store, clock, onlyProcess, opened, logger } = parts;
  const { quotas } = config;
  const blobs = new Blobs({ database, store, clock, quotas });
  const limits = { sessions: config.limits.uploadsPerAccount, bytes: config.limits.stagedBytesPerAccount };
  const uploads = new Uploads({ database, store, blobs, clock, limits, quotas, onlyProcess });
  const { missingReferences } = config.manifests;
  const rules = deletionRulesOf(config);
  const manifests = new Manifests({ database, clock, missingReferences, ...rules, quotas });
  const pulls = new Pulls({
    database,
    failed: (error) =>
      logger.warn({ err: error }, 'could not record pulls; they are kept and recorded later'),
    lost: (pulls) =>
      logger.error(
        { pulls },
        'pulls were not recorded: too many manifests were waiting, or the process ended while the database was unavailable',
      ),
  });
  opened.defer(() => pulls.close());
  return { blobs, uploads, manifests, pulls };
}
