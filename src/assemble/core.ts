import type { Config } from '../config/schema.ts';
import { Blobs } from '../core/blobs.ts';
import { Manifests } from '../core/manifests.ts';
import { Uploads } from '../core/uploads.ts';
import type { Data } from './data.ts';

/** The content of the registry. */
export interface Core {
  readonly blobs: Blobs;
  readonly uploads: Uploads;
  readonly manifests: Manifests;
}

/** Assembles blobs, uploads and manifests over the data. */
export function assembleCore(config: Config, { database, store, clock, onlyProcess }: Data): Core {
  const { quotas } = config;
  const blobs = new Blobs({ database, store, clock, quotas });
  const limits = { sessions: config.limits.uploadsPerAccount, bytes: config.limits.stagedBytesPerAccount };
  const uploads = new Uploads({ database, store, blobs, clock, limits, quotas, onlyProcess });
  const { missingReferences } = config.manifests;
  const immutableTags = config.tags.immutable;
  const trash = config.trash.keepFor > 0;
  const manifests = new Manifests({ database, clock, missingReferences, immutableTags, trash, quotas });
  return { blobs, uploads, manifests };
}
