// The primary process of `berth serve --workers N`. It starts the workers, locks the data directory, and can serve health and
// metrics, but serves no requests of the registry.
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import type { Logger } from 'pino';
import { AggregatorRegistry, collectDefaultMetrics, type MetricObject, Registry } from 'prom-client';
import { shownIdentity } from '../access/identity.ts';
import { networkOf } from '../access/network-of.ts';
import type { ListenAddress } from '../config/address.ts';
import type { Config } from '../config/schema.ts';
import { lockDataDirectory } from '../db/sqlite/data-lock.ts';
import { releaseUploadLeases } from '../db/uploads.ts';
import { clientsOf } from '../http/client.ts';
import { ConnectionLimits } from '../http/connection-limits.ts';
import { addOperations, type OperationsParts, type Readiness } from '../http/operations.ts';
import { createServer as createHttpServer } from '../http/server.ts';
import { openDatabase, openStore, refuseLostDatabase } from '../open.ts';
import type { Listening, Service } from '../service.ts';
import { observeRequests } from '../telemetry/access-log.ts';
import { isPretty } from '../telemetry/log.ts';
import { Pool } from './pool.ts';

/** @throws DataDirectoryInUse, ForeignRegistry, StoreMismatch, SchemaMismatch, or a system error of a file */
export async function createPrimary(config: Config, { logger }: { logger: Logger }): Promise<Service> {
  const opened = new AsyncDisposableStack();
  try {
    if (config.database.url === undefined) await prepareData(config, opened);
    return await assemble(config, logger, opened);
  } catch (error) {
    await opened.disposeAsync();
    throw error;
  }
}

/** Locks and prepares the data directory before the workers open it. */
async function prepareData(config: Config, opened: AsyncDisposableStack): Promise<void> {
  // Opened first, because it rejects another registry's directory and leaves it unchanged.
  const store = await openStore(config);
  opened.defer(() => store.close());
  const lock = await lockDataDirectory(config.data);
  opened.defer(async () => lock.release());
  await refuseLostDatabase(config, store);
  // This connection stays open while the workers run, because it copies their write-ahead log into the database file.
  const database = await openDatabase(config);
  opened.defer(() => database.close());
  await database.transaction((db) => releaseUploadLeases(db));
  lock.share();
}

async function assemble(config: Config, logger: Logger, opened: AsyncDisposableStack): Promise<Service> {
  const own = new Registry();
  collectDefaultMetrics({ register: own, eventLoopMonitoringPrecision: 5 });
  let stopping = false;
  const all: OperationsParts = {
    metrics: {
      contentType: own.contentType,
      async metrics() {
        const each = (await pool.ask('metrics')) as MetricObject[][];
        return AggregatorRegistry.aggregate([...each, await own.getMetricsAsJSON()]).metrics();
      },
    },
    async ready() {
      if (stopping) throw new Error('shutting down');
      const [first] = (await pool.ask('ready')) as Readiness[];
      return first ?? {};
    },
  };
  const listen = await freeAddress(config.listen);
  const pool = new Pool({
    config: workerConfig({ ...config, listen }),
    logger,
    answer: (question) => (question === 'metrics' ? all.metrics.metrics() : all.ready()),
  });
  const { limits, trustedProxies } = config;
  const operations =
    config.operations &&
    createHttpServer({
      logger,
      limits,
      connections: new ConnectionLimits({ ...limits, trustedProxies, networkOf }),
      clientOf: clientsOf(trustedProxies, config.forwardedHeaders),
      observe: observeRequests({ logger, log: config.log, shown: shownIdentity }),
    });
  if (operations) addOperations(operations, all);

  return {
    async listen(): Promise<Listening> {
      const url = await pool.start();
      if (!operations || !config.operations) return { url };
      const { host, port } = config.operations.listen;
      return { url, operationsUrl: await operations.listen({ host, port, listenTextResolver: (it) => it }) };
    },
    async close() {
      stopping = true;
      await pool.stop();
      await operations?.close();
      await opened.disposeAsync();
    },
  };
}

/** The configuration of one worker, with its share of the connection limits. */
function workerConfig(config: Config): Config {
  const { limits, workers } = config;
  return {
    ...config,
    // The workers' standard output is a pipe to the primary; only the primary may have a terminal.
    log: { ...config.log, format: isPretty(config.log) ? 'pretty' : 'json' },
    limits: {
      ...limits,
      maxConnections: Math.ceil(limits.maxConnections / workers),
      connectionsPerNetwork: Math.ceil(limits.connectionsPerNetwork / workers),
    },
  };
}

/** Replaces port 0 by a free port, because all workers and their replacements must listen on the same port. */
async function freeAddress(address: ListenAddress): Promise<ListenAddress> {
  if (address.port !== 0) return address;
  const server = createServer().listen(address);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return { ...address, port };
}
