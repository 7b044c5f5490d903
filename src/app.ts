import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { makeFirstAdministrator } from './administration/first-administrator.ts';
import { assembleAccess } from './assemble/access.ts';
import { assembleCore } from './assemble/core.ts';
import { assembleData, type OpenedData } from './assemble/data.ts';
import { assembleJobs } from './assemble/jobs.ts';
import { assembleListeners } from './assemble/listeners.ts';
import { Audit } from './audit/audit.ts';
import { formatAddress, type ListenAddress } from './config/address.ts';
import { placesOf } from './config/places.ts';
import type { Config } from './config/schema.ts';
import type { Clock } from './core/clock.ts';
import { readinessCheck } from './core/readiness.ts';
import { checkStoreAtStart } from './core/store-identity.ts';
import type { Database } from './db/database.ts';
import { refuseUnfinishedCopy } from './db/properties.ts';
import { readOnlyReason, refuseWhenReadOnly } from './db/read-only.ts';
import { joinDataDirectory, lockDataDirectory } from './db/sqlite/data-lock.ts';
import { releaseUploadLeases } from './db/uploads.ts';
import { administratorGreeting } from './greeting.ts';
import { clientsOf } from './http/client.ts';
import { watchDescriptors } from './http/descriptors.ts';
import { Drain } from './http/drain.ts';
import type { OperationsParts } from './http/operations.ts';
import { openDatabase, openStore, refuseLostDatabase } from './open.ts';
import type { BlobStore } from './storage/blob-store.ts';
import { observeAudit } from './telemetry/audit.ts';
import { createLogger } from './telemetry/log.ts';
import { limitsOf } from './v2/limits.ts';

/** An assembled registry that does not listen yet. */
export interface App {
  /** Answers `inject()` without a socket. */
  readonly http: FastifyInstance;
  /** Listens on the configured addresses. */
  listen(): Promise<{ url: string; operationsUrl?: string }>;
  /**
   * Reports not ready at once, waits up to `shutdown.drainTimeout` for running transfers, then closes everything in order. Further
   * calls wait for the first one.
   */
  close(): Promise<void>;
  /** Health and metrics of this process only. */
  readonly operations: OperationsParts & { readonly metrics: Registry };
}

/** Parts that a worker process or a test provides instead of the default ones. */
export interface AppParts {
  readonly logger?: Logger;
  readonly worker?: WorkerParts;
  readonly database?: Database;
  readonly store?: BlobStore;
  readonly clock?: Clock;
  /** Writes to standard error; for texts that no log may contain. */
  readonly err?: (text: string) => void;
}

/** The parts that a worker process gets because another process serves all workers (see `workers/`). */
export interface WorkerParts {
  /** Health and metrics of all processes, or `elsewhere` if another process serves them. */
  readonly operations: OperationsParts | 'elsewhere';
}

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
    const onlyProcess = exclusive && !parts.worker;
    if (exclusive) {
      const lock = parts.worker ? joinDataDirectory(config.data) : await lockDataDirectory(config.data);
      opened.defer(async () => lock.release());
    }
    if (parts.database === undefined) await refuseLostDatabase(config, store);
    const database = parts.database ?? (await openDatabase(config, { checkpoints: !parts.worker }));
    opened.defer(() => database.close());
    await refuseUnfinishedCopy(database.read);
    const disagreement = await checkStoreAtStart(refuseWhenReadOnly(database), store, placesOf(config));
    // No other process runs, so the holders of existing leases are dead.
    if (onlyProcess) await database.transaction((db) => releaseUploadLeases(db));
    await ensureAdministrator(config, parts, database);
    return await assemble(config, parts, opened, { store, database, disagreement, onlyProcess });
  } catch (error) {
    await opened.disposeAsync();
    throw error;
  }
}

/** Creates the first administrator if there is none and the registry has logins. @throws Refused */
async function ensureAdministrator(config: Config, parts: AppParts, database: Database): Promise<void> {
  // Everyone has all rights, or another token server decides the rights.
  if (config.anonymous === 'push' || config.tokenServer !== undefined) return;
  // A database that is being moved has its own administrators.
  if ((await readOnlyReason(database.read)) !== undefined) return;
  const made = await makeFirstAdministrator(database, config.admin);
  if (made?.password === undefined) return;
  const err = parts.err ?? ((text) => void process.stderr.write(text));
  err(administratorGreeting(config, made));
}

/** Assembles all parts, in the order of their dependencies. A part is closed before the parts that it uses. */
async function assemble(
  config: Config,
  parts: AppParts,
  opened: AsyncDisposableStack,
  raw: OpenedData,
): Promise<App> {
  const logger = parts.logger ?? createLogger(config.log);
  const clock = parts.clock ?? raw.database.clock;
  await warnIfReadOnly(raw.database, logger);
  const data = assembleData(config, raw, { opened, logger, clock });
  const core = assembleCore(config, { ...data, opened, logger });

  const clientOf = clientsOf(config.trustedProxies, config.forwardedHeaders);
  const audit = new Audit({ database: data.database, observer: observeAudit(logger, data.metrics) });
  opened.defer(() => audit.close());
  const limits = limitsOf(config.rateLimits, {
    // Pull counts are written even while the registry is read-only.
    database: data.unguarded,
    uncounted: (error) => logger.warn({ err: error }, 'could not count a pull; the pull was allowed'),
  });
  const requests = { opened, logger, audit, clientOf, limits };
  const access = await assembleAccess(config, { ...data, ...requests });

  const drain = new Drain();
  const ready = readinessCheck(data.database, data.store);
  const own = {
    metrics: data.metrics.registry,
    async ready() {
      if (drain.begun) throw new Error('shutting down');
      return ready();
    },
  };
  const { http, operations } = await assembleListeners(config, {
    ...data,
    ...core,
    ...requests,
    access,
    drain,
    operations: parts.worker?.operations ?? own,
  });

  assembleJobs(config, { ...data, opened, logger, sessions: access.sessions });
  const descriptors = watchDescriptors(logger);
  opened.defer(() => descriptors.close());

  const close = async (): Promise<void> => {
    await drain.run(http.server, config.shutdown.drainTimeout);
    await opened.disposeAsync();
  };
  let closing: Promise<void> | undefined;
  return {
    http,
    operations: own,
    async listen() {
      const url = await listenOn(http, config.listen, config.tls ? 'https' : 'http');
      if (!operations || !config.operations) return { url };
      return { url, operationsUrl: await listenOn(operations, config.operations.listen, 'http') };
    },
    close() {
      closing ??= close();
      return closing;
    },
  };
}

async function warnIfReadOnly({ read }: Database, logger: Logger): Promise<void> {
  const reason = await readOnlyReason(read);
  if (reason === undefined) return;
  logger.warn(
    { reason },
    'the registry is read-only: pushes and deletes are refused until `berth read-only off`',
  );
}

/** Returns the URL with the host as configured. Fastify's own URL would lack what `serverFactory` adds, such as TLS. */
async function listenOn(
  http: FastifyInstance,
  { host, port }: ListenAddress,
  scheme: string,
): Promise<string> {
  await http.listen({ host, port });
  const bound = http.server.address() as AddressInfo;
  return `${scheme}://${formatAddress({ host, port: bound.port })}`;
}
