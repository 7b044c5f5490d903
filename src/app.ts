import type { Server as TlsServer } from 'node:https';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { ListenAddress } from './config/address.ts';
import type { Config } from './config/schema.ts';
import { Blobs } from './core/blobs.ts';
import type { Clock } from './core/clock.ts';
import { Manifests } from './core/manifests.ts';
import { Uploads } from './core/uploads.ts';
import { lockDataDirectory } from './db/data-lock.ts';
import type { Database } from './db/database.ts';
import { openSqlite } from './db/sqlite.ts';
import { countUploads, releaseAllClaims } from './db/uploads.ts';
import { Drain } from './http/drain.ts';
import { addOperations } from './http/operations.ts';
import { createOperationsServer, createServer } from './http/server.ts';
import { SlowTransfers } from './http/slow-transfers.ts';
import { loadTls, watchTls } from './http/tls.ts';
import { schedule } from './jobs/schedule.ts';
import { sweep } from './jobs/sweep.ts';
import type { BlobStore } from './storage/blob-store.ts';
import { openFilesystemStore } from './storage/filesystem.ts';
import { observeRequests } from './telemetry/access-log.ts';
import { createLogger } from './telemetry/log.ts';
import { createMetrics } from './telemetry/metrics.ts';
import { timedDatabase, timedStore } from './telemetry/timed.ts';
import { registryApi } from './v2/api.ts';

/** A registry, put together and not yet listening. */
export interface App {
  /** Answers `inject()` without a socket. */
  readonly http: FastifyInstance;
  /** Listens on the configured addresses. */
  listen(): Promise<{ url: string; operationsUrl?: string }>;
  /**
   * Not ready at once; running transfers may end, up to the drain limit; then everything is closed, in order. It happens once,
   * however often it is asked for.
   */
  close(): Promise<void>;
}

/** What tests put in the place of the real parts. */
export interface AppParts {
  readonly logger?: Logger;
  readonly database?: Database;
  readonly store?: BlobStore;
  readonly clock?: Clock;
}

/** Milliseconds a file without a row is left alone; a push that is between the two takes seconds at most. */
const orphanGrace = 24 * 3_600_000;
const sweepEvery = 3_600_000;

/** @throws DataDirectoryInUse, ForeignRegistry, TlsError, SchemaMismatch, or what the operating system says of a file */
export async function createApp(config: Config, parts: AppParts = {}): Promise<App> {
  const store = parts.store ?? (await openFilesystemStore(config.data));
  const lock = await lockDataDirectory(config.data);
  try {
    return await assemble(config, parts, store, lock);
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** The wiring of the whole house, top to bottom. */
async function assemble(
  config: Config,
  parts: AppParts,
  rawStore: BlobStore,
  lock: { release(): void },
): Promise<App> {
  const logger = parts.logger ?? createLogger(config.log);
  const clock = parts.clock ?? Date.now;
  const tls = config.tls && (await loadTls(config.tls));

  const rawDatabase = parts.database ?? (await openSqlite(join(config.data, 'berth.db')));
  const metrics = createMetrics({ uploadsOpen: () => countUploads(rawDatabase.read) });
  const database = timedDatabase(rawDatabase, metrics);
  const store = timedStore(rawStore, metrics);
  // The data directory is this process's alone: who had claimed an upload before is dead.
  await database.transaction((db) => releaseAllClaims(db));

  const blobs = new Blobs({ database, store, clock });
  const uploads = new Uploads({ database, store, blobs, clock });
  const manifests = new Manifests({ database, clock, missingReferences: config.manifests.missingReferences });

  const slow = new SlowTransfers(config.limits);
  const drain = new Drain();
  const api = registryApi({
    database,
    blobs,
    uploads,
    manifests,
    slow,
    anonymous: config.anonymous,
    maxManifestSize: config.manifests.maxSize,
    deletesEnabled: config.deletes.enabled,
    observe: observeRequests(logger, metrics, config.log),
  });
  const http = createServer({
    logger,
    tls,
    maxConnections: config.limits.maxConnections,
    api: drain.around(api),
  });

  const operations = config.operations && createOperationsServer(logger);
  addOperations(operations ?? http, {
    metrics: metrics.registry,
    async ready() {
      if (drain.begun) throw new Error('shutting down');
      await Promise.all([database.ping(), store.ping()]);
    },
  });

  const tlsWatch =
    config.tls && tls && watchTls(config.tls, http.server as unknown as TlsServer, logger, { current: tls });
  const sweeping = schedule(
    Math.min(sweepEvery, config.uploads.expireAfter),
    async (signal) => {
      const parts = { database, store, clock, expireAfter: config.uploads.expireAfter, grace: orphanGrace };
      logger.info(await sweep(parts, signal), 'swept');
    },
    (error) => logger.error({ err: error }, 'sweeping failed'),
  );

  const close = async (): Promise<void> => {
    await drain.run(http.server, config.shutdown.drainTimeout);
    await sweeping.stop();
    slow.close();
    tlsWatch?.close();
    await http.close();
    await operations?.close();
    await database.close();
    lock.release();
  };
  let closing: Promise<void> | undefined;

  return {
    http,
    async listen() {
      const url = await listenOn(http, config.listen);
      if (!operations || !config.operations) return { url };
      return { url, operationsUrl: await listenOn(operations, config.operations.listen) };
    },
    close() {
      closing ??= close();
      return closing;
    },
  };
}

function listenOn(http: FastifyInstance, { host, port }: ListenAddress): Promise<string> {
  return http.listen({ host, port, listenTextResolver: (address) => address });
}
