import { randomUUID } from 'node:crypto';
import { statfs } from 'node:fs/promises';
import type { Logger } from 'pino';
import manifest from '../../package.json' with { type: 'json' };
import { maxCounted } from '../administration/garbage.ts';
import { placesOf } from '../config/places.ts';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../core/clock.ts';
import { findScrub, problemsOf } from '../core/scrub-state.ts';
import { StoreEpoch } from '../core/store-epoch.ts';
import { unheldQueue } from '../db/blob-deletions.ts';
import { reviewQueue } from '../db/blob-reviews.ts';
import { countDamaged } from '../db/damaged-blobs.ts';
import type { Database } from '../db/database.ts';
import { listReleasedLeases } from '../db/leases.ts';
import { countParked } from '../db/parked-blobs.ts';
import { refuseWhenReadOnly } from '../db/read-only.ts';
import { countUploads } from '../db/uploads.ts';
import { findStored } from '../jobs/measure.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { observeAgreement } from '../telemetry/agreement.ts';
import { createMetrics, type Metrics } from '../telemetry/metrics.ts';
import { timedDatabase, timedStore } from '../telemetry/timed.ts';

/** The opened database and blob store. */
export interface OpenedData {
  readonly database: Database;
  readonly store: BlobStore;
  /** Why nothing may be deleted; `undefined` if database and store agree. */
  readonly disagreement: Error | undefined;
  /** Whether no other process serves this registry. */
  readonly onlyProcess: boolean;
}

export interface DataParts {
  readonly opened: AsyncDisposableStack;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** The database and blob store that all parts use: with metrics, and read-only while the registry is. */
export interface Data {
  readonly database: Database;
  /** The same database without metrics and the read-only check, for rows that are written even while the registry is read-only. */
  readonly unguarded: Database;
  /** A commit to it raises the epoch. */
  readonly store: BlobStore;
  readonly epoch: StoreEpoch;
  readonly clock: Clock;
  /** Identifies this process in leases. */
  readonly holder: string;
  readonly metrics: Metrics;
  readonly onlyProcess: boolean;
}

/** Wraps database and store, and creates their metrics and epoch. */
export function assembleData(config: Config, raw: OpenedData, { opened, logger, clock }: DataParts): Data {
  const metrics = metricsOf(config, raw.database);
  const database = timedDatabase(refuseWhenReadOnly(raw.database), metrics);
  const holder = randomUUID();
  const checked = observeAgreement(logger, metrics);
  checked(raw.disagreement);
  const places = placesOf(config);
  const epoch = new StoreEpoch({ database, store: raw.store, places, clock, holder, checked });
  opened.defer(() => epoch.close());
  const store = epoch.wrap(timedStore(raw.store, metrics));
  const { onlyProcess, database: unguarded } = raw;
  return { database, unguarded, store, epoch, clock, holder, metrics, onlyProcess };
}

function metricsOf(config: Config, database: Database): Metrics {
  const { read } = database;
  return createMetrics({
    version: manifest.version,
    uploadsOpen: () => countUploads(read),
    stored: () => findStored(read),
    freeBytes: () => freeBytesOf(config),
    connections: () => database.connections?.(),
    jobsEnded: () => listReleasedLeases(read),
    blobsParked: () => countParked(read),
    blobsDamaged: () => countDamaged(read, maxCounted),
    blobsUnreadable: async () => problemsOf(await findScrub(read), 'unreadable').length,
    manifestsDamaged: async () => problemsOf(await findScrub(read), 'damagedManifests').length,
    garbageQueues: async () => ({
      reviews: await reviewQueue(read, maxCounted),
      unheld: await unheldQueue(read, maxCounted),
    }),
  });
}

/** Free bytes of the data directory; `undefined` if neither blobs nor the database are in it. */
async function freeBytesOf({ data, storage, database }: Config): Promise<number | undefined> {
  if (storage.type !== 'filesystem' && database.url !== undefined) return undefined;
  const { bavail, bsize } = await statfs(data);
  return bavail * bsize;
}
