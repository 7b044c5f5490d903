import { randomUUID } from 'node:crypto';
import { statfs } from 'node:fs/promises';
import type { Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import manifest from '../package.json' with { type: 'json' };
import { shownIdentity } from './access/identity.ts';
import { networkOf } from './access/network-of.ts';
import { actAs } from './administration/change.ts';
import { makeFirstAdministrator } from './administration/first-administrator.ts';
import { removeEndedSigningKeys } from './administration/signing-keys.ts';
import { assembleAccess } from './assemble-access.ts';
import { Audit } from './audit/audit.ts';
import { addFrontPage } from './auth/front-page.ts';
import { metricsReader } from './auth/metrics-reader.ts';
import { formatAddress, type ListenAddress } from './config/address.ts';
import { placesOf } from './config/places.ts';
import type { Config } from './config/schema.ts';
import { Blobs } from './core/blobs.ts';
import type { Clock } from './core/clock.ts';
import { asRegistryError } from './core/faults.ts';
import { Manifests } from './core/manifests.ts';
import { sharedFor } from './core/shared-for.ts';
import { StoreEpoch } from './core/store-epoch.ts';
import { meetStore } from './core/store-identity.ts';
import { Uploads } from './core/uploads.ts';
import { countParked } from './db/blobs.ts';
import { system } from './db/changes.ts';
import type { Database } from './db/database.ts';
import { listRestingLeases } from './db/leases.ts';
import { refuseUnfinishedCopy } from './db/properties.ts';
import { readOnlyReason, refuseWhenReadOnly } from './db/read-only.ts';
import { joinDataDirectory, lockDataDirectory } from './db/sqlite/data-lock.ts';
import { countUploads, releaseUploadLeases } from './db/uploads.ts';
import { administratorGreeting } from './greeting.ts';
import { baseUrlOf, clientsOf } from './http/client.ts';
import { ConnectionLimits } from './http/connection-limits.ts';
import { watchDescriptors } from './http/descriptors.ts';
import { Drain } from './http/drain.ts';
import { addOperations, type OperationsParts } from './http/operations.ts';
import { createServer, type ServerParts } from './http/server.ts';
import { loadTls, watchTls } from './http/tls.ts';
import { Jobs } from './jobs/jobs.ts';
import { findStored } from './jobs/measure.ts';
import { scheduleOf } from './jobs/schedule.ts';
import { openDatabase, openStore, refuseLostDatabase } from './open.ts';
import type { BlobStore } from './storage/blob-store.ts';
import { observeRequests } from './telemetry/access-log.ts';
import { observeAgreement } from './telemetry/agreement.ts';
import { observeAudit } from './telemetry/audit.ts';
import { observeJobs } from './telemetry/jobs.ts';
import { createLogger } from './telemetry/log.ts';
import { createMetrics } from './telemetry/metrics.ts';
import { timedDatabase, timedStore } from './telemetry/timed.ts';
import { registryApi } from './v2/api.ts';
import { auditRequests } from './v2/audit.ts';
import { limitsOf } from './v2/limits.ts';
import { redirectsOf } from './v2/redirects.ts';

/** An assembled registry that does not listen yet. */
export interface App {
  /** Answers `inject()` without a socket. */
  readonly http: FastifyInstance;
  /** Listens on the configured addresses. */
  listen(): Promise<{ url: string; operationsUrl?: string }>;
  /**
   * Reports not ready at once, lets running transfers end up to the drain limit, then closes everything in order. Further calls
   * wait for the first one.
   */
  close(): Promise<void>;
  /** Of this process only. */
  readonly operations: OperationsParts & { readonly metrics: Registry };
}

/** Replaces parts, for the process that runs the app and for tests. */
export interface AppParts {
  readonly logger?: Logger;
  readonly worker?: WorkerParts;
  readonly database?: Database;
  readonly store?: BlobStore;
  readonly clock?: Clock;
  /** Writes to standard error; for texts that no log may contain. */
  readonly err?: (text: string) => void;
}

/** For one of several processes on this machine (see `workers/`): what another process does for all. */
export interface WorkerParts {
  /** Health and metrics of all processes, or `elsewhere` if another process serves them. */
  readonly operations: OperationsParts | 'elsewhere';
}

const unknownBlobs =
  'found blobs without a row in the database; they are kept for 30 days, or for good if their digest is pushed';

/**
 * @throws DataDirectoryInUse, ForeignRegistry, StoreMismatch, Refused, TlsError, SchemaMismatch, UnfinishedCopy, UnfitDatabase,
 * StoreUnusable, or a system error
 */
export async function createApp(config: Config, parts: AppParts = {}): Promise<App> {
  // Parts close in reverse order: here if a later part fails to open, otherwise when the app is closed.
  const opened = new AsyncDisposableStack();
  try {
    const store = parts.store ?? (await openStore(config));
    opened.defer(() => store.close());
    // A data directory with a SQLite database belongs to one process; a database server is shared.
    const exclusive = config.database.url === undefined;
    if (exclusive) {
      const lock = parts.worker ? joinDataDirectory(config.data) : await lockDataDirectory(config.data);
      opened.defer(async () => lock.release());
    }
    if (parts.database === undefined) await refuseLostDatabase(config, store);
    const database = parts.database ?? (await openDatabase(config, { checkpoints: !parts.worker }));
    opened.defer(() => database.close());
    await refuseUnfinishedCopy(database.read);
    const disagreement = await meetStore(refuseWhenReadOnly(database), store, placesOf(config));
    // Holders of leases from before this start are dead.
    if (exclusive && !parts.worker) await database.transaction((db) => releaseUploadLeases(db));
    await ensureAdministrator(config, parts, database);
    return await assemble(config, parts, { store, database, opened, disagreement });
  } catch (error) {
    await opened.disposeAsync();
    throw error;
  }
}

/** Creates the first administrator if there is none, unless there are no logins. @throws Refused */
async function ensureAdministrator(config: Config, parts: AppParts, database: Database): Promise<void> {
  // Rights are everyone's, or another token server's to decide. A database that is being copied has its own administrators.
  if (config.anonymous === 'push' || config.tokenServer !== undefined) return;
  if ((await readOnlyReason(database.read)) !== undefined) return;
  const made = await makeFirstAdministrator(database, config.admin);
  if (made?.password === undefined) return;
  const err = parts.err ?? ((text) => void process.stderr.write(text));
  err(administratorGreeting(config, made));
}

/** Assembles all parts, top to bottom. */
async function assemble(
  config: Config,
  parts: AppParts,
  raw: {
    store: BlobStore;
    database: Database;
    opened: AsyncDisposableStack;
    disagreement: Error | undefined;
  },
): Promise<App> {
  const logger = parts.logger ?? createLogger(config.log);
  const clock = parts.clock ?? raw.database.clock;
  const tls = config.tls && (await loadTls(config.tls));

  const readOnly = await readOnlyReason(raw.database.read);
  if (readOnly !== undefined) {
    logger.warn(
      { reason: readOnly },
      'the registry is read-only: pushes and deletes are refused until `berth read-only off`',
    );
  }

  const metrics = createMetrics({
    version: manifest.version,
    uploadsOpen: () => countUploads(raw.database.read),
    stored: () => findStored(raw.database.read),
    freeBytes: () => freeBytesOf(config),
    connections: () => raw.database.connections?.(),
    jobsEnded: () => listRestingLeases(raw.database.read),
    blobsParked: () => countParked(raw.database.read),
  });
  const database = timedDatabase(refuseWhenReadOnly(raw.database), metrics);
  const holder = randomUUID();
  const looked = observeAgreement(logger, metrics);
  looked(raw.disagreement);
  const epoch = new StoreEpoch({
    database,
    store: raw.store,
    places: placesOf(config),
    clock,
    holder,
    looked,
  });
  const store = epoch.watch(timedStore(raw.store, metrics));
  const blobs = new Blobs({ database, store, clock });
  const uploadLimits = {
    sessions: config.limits.uploadsPerAccount,
    bytes: config.limits.stagedBytesPerAccount,
  };
  const uploads = new Uploads({ database, store, blobs, clock, limits: uploadLimits });
  const manifests = new Manifests({ database, clock, missingReferences: config.manifests.missingReferences });

  const clientOf = clientsOf(config.trustedProxies, config.forwardedHeaders);
  const audit = new Audit({ database, observer: observeAudit(logger, metrics) });
  const logged = observeRequests({ logger, metrics, log: config.log, shown: shownIdentity });
  const audited = auditRequests({ audit, pulls: config.audit.pulls });
  const limits = limitsOf(config.rateLimits, {
    // Pull counts are written even while the registry is read-only.
    database: raw.database,
    uncounted: (error) => logger.warn({ err: error }, 'could not count a pull; the pull was allowed'),
  });
  const { access, tokenServer, sessions, addRoutes, settled } = await assembleAccess(config, {
    database,
    clock,
    logger,
    audit,
    clientOf,
    limits,
  });

  const listener = (): Omit<ServerParts, 'api'> => ({
    logger,
    limits: config.limits,
    connections: new ConnectionLimits({ ...config.limits, trustedProxies: config.trustedProxies, networkOf }),
    clientOf,
    observe: logged,
  });
  const ofRegistry = listener();
  const drain = new Drain();
  const api = registryApi({
    database,
    blobs,
    uploads,
    manifests,
    clientOf,
    redirects: config.storage.type === 's3' ? redirectsOf(config.storage.s3) : undefined,
    access,
    tokenServer,
    locationBase: config.absoluteLocations ? (client) => baseUrlOf(client, config.externalUrl) : undefined,
    maxManifestSize: config.manifests.maxSize,
    deletesEnabled: config.deletes.enabled,
    limits,
    connections: ofRegistry.connections,
    observe(served) {
      logged(served);
      audited(served);
    },
  });
  const http = createServer({ ...ofRegistry, tls, api: drain.around(api) });
  addRoutes(http);
  addFrontPage(http, { ...config, clientOf, passwordLogin: config.access.passwordLogin });

  // Reads both, and writes where writes are allowed: a file system that has become read-only still answers reads.
  const askBoth = sharedFor(1_000, async () => {
    const readOnly = await readOnlyReason(raw.database.read);
    const write = readOnly === undefined;
    const asked = await Promise.allSettled([database.ping({ write }), store.ping({ write })]);
    for (const { reason } of asked.filter((answer) => answer.status === 'rejected')) {
      // A full disk refuses pushes but serves pulls.
      if (asRegistryError(reason).code !== 'STORAGE_FULL') throw reason;
    }
    return { readOnly };
  });
  const own = {
    metrics: metrics.registry,
    async ready() {
      if (drain.begun) throw new Error('shutting down');
      return askBoth();
    },
  };
  const shown = parts.worker?.operations ?? own;
  const operations = shown !== 'elsewhere' && config.operations && createServer(listener());
  // On the address for clients, metrics are for administrators only.
  const checkReader = metricsReader({ access, audit, clientOf });
  if (shown !== 'elsewhere') {
    addOperations(
      operations || http,
      shown,
      operations || config.anonymous === 'push' ? undefined : checkReader,
    );
  }

  const tlsWatch =
    config.tls && tls && watchTls(config.tls, http.server as unknown as TlsServer, logger, { current: tls });
  const jobs = new Jobs({
    // Leases of jobs are written even while the registry is read-only.
    database: raw.database,
    clock,
    holder,
    observer: observeJobs(logger, metrics.jobs),
  });
  const { keepUnknownFor } = config.deletes;
  const schedule = scheduleOf({
    config,
    database,
    unguarded: raw.database,
    store,
    clock,
    epoch,
    removeExpiredSessions: () => sessions.removeExpired(),
    removeEndedSigningKeys: () => removeEndedSigningKeys(actAs(database, system), config.access),
    observer: {
      swept(slice) {
        metrics.jobs.swept({ ...slice });
        if (slice.parked > 0) {
          logger.warn({ parked: slice.parked, keepUnknown: keepUnknownFor }, unknownBlobs);
        }
      },
      done: (what, fields) => logger.info(fields, what),
    },
  });
  for (const { name, every, run } of schedule) jobs.every(name, every, run);

  const descriptors = watchDescriptors(logger);

  const close = async (): Promise<void> => {
    await drain.run(http.server, config.shutdown.drainTimeout);
    await jobs.stop();
    descriptors.close();
    tlsWatch?.close();
    await http.close();
    await settled();
    if (operations) await operations.close();
    await audit.close();
    await epoch.close();
    await raw.opened.disposeAsync();
  };
  let closing: Promise<void> | undefined;

  return {
    http,
    operations: own,
    async listen() {
      const url = await listenOn(http, config.listen, tls ? 'https' : 'http');
      if (!operations || !config.operations) return { url };
      return { url, operationsUrl: await listenOn(operations, config.operations.listen, 'http') };
    },
    close() {
      closing ??= close();
      return closing;
    },
  };
}

/** Free bytes for blobs or the database, if they are in the data directory. */
async function freeBytesOf({ data, storage, database }: Config): Promise<number | undefined> {
  if (storage.type !== 'filesystem' && database.url !== undefined) return undefined;
  const { bavail, bsize } = await statfs(data);
  return bavail * bsize;
}

/** The URL with the host as configured. Fastify does not know what `serverFactory` adds, such as TLS. */
async function listenOn(
  http: FastifyInstance,
  { host, port }: ListenAddress,
  scheme: string,
): Promise<string> {
  await http.listen({ host, port });
  const bound = http.server.address() as AddressInfo;
  return `${scheme}://${formatAddress({ host, port: bound.port })}`;
}
