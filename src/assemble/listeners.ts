import type { Server as TlsServer } from 'node:https';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { shownIdentity } from '../access/identity.ts';
import { networkOf } from '../access/network-of.ts';
import type { Audit } from '../audit/audit.ts';
import { addFrontPage } from '../auth/front-page.ts';
import { metricsReader } from '../auth/metrics-reader.ts';
import type { Config } from '../config/schema.ts';
import { baseUrlOf, type ClientOf } from '../http/client.ts';
import { ConnectionLimits } from '../http/connection-limits.ts';
import type { Drain } from '../http/drain.ts';
import { addOperations, type OperationsParts } from '../http/operations.ts';
import { createServer, type RawHandler, type ServerParts } from '../http/server.ts';
import { loadTls, watchTls } from '../http/tls.ts';
import { observeRequests } from '../telemetry/access-log.ts';
import { registryApi } from '../v2/api.ts';
import { auditRequests } from '../v2/audit.ts';
import type { Limits } from '../v2/limits.ts';
import { redirectsOf } from '../v2/redirects.ts';
import type { AssembledAccess } from './access.ts';
import type { Core } from './core.ts';
import type { Data } from './data.ts';

export interface ListenersParts extends Core, Pick<Data, 'database' | 'metrics'> {
  readonly opened: AsyncDisposableStack;
  readonly logger: Logger;
  readonly audit: Audit;
  readonly clientOf: ClientOf;
  /** Absent: no limits. */
  readonly limits: Limits | undefined;
  readonly access: AssembledAccess;
  readonly drain: Drain;
  /** Health and metrics, or `elsewhere` if another process serves them. */
  readonly operations: OperationsParts | 'elsewhere';
}

export interface Listeners {
  /** For clients. */
  readonly http: FastifyInstance;
  /** For health and metrics, if they have an address of their own. */
  readonly operations: FastifyInstance | undefined;
}

type Common = Omit<ServerParts, 'api'>;

/** Creates the HTTP servers, which do not listen yet. @throws TlsError */
export async function assembleListeners(config: Config, parts: ListenersParts): Promise<Listeners> {
  const { opened, logger, metrics, clientOf, audit, operations: sources } = parts;
  const observe = observeRequests({ logger, metrics, log: config.log, shown: shownIdentity });
  const { limits, trustedProxies } = config;
  const common = (): Common => ({
    logger,
    limits,
    connections: new ConnectionLimits({ ...limits, trustedProxies, networkOf }),
    clientOf,
    observe,
  });

  const operations = config.operations && sources !== 'elsewhere' ? createServer(common()) : undefined;
  if (operations) opened.defer(() => operations.close());
  const http = await registryListener(config, parts, common());
  if (sources === 'elsewhere') return { http, operations };
  // On the clients' address, only administrators may read the metrics, unless everyone may push.
  const { access } = parts.access;
  const isOpen = operations !== undefined || config.anonymous === 'push';
  addOperations(operations ?? http, sources, isOpen ? undefined : metricsReader({ access, audit, clientOf }));
  return { http, operations };
}

async function registryListener(
  config: Config,
  parts: ListenersParts,
  common: Common,
): Promise<FastifyInstance> {
  const { opened, logger, access, clientOf, drain } = parts;
  const tls = config.tls && (await loadTls(config.tls));
  const http = createServer({ ...common, tls, api: drain.around(apiOf(config, parts, common)) });
  opened.defer(() => http.close());
  access.addRoutes(http);
  addFrontPage(http, { ...config, clientOf, passwordLogin: config.access.passwordLogin });
  if (config.tls && tls) {
    const watch = watchTls(config.tls, http.server as unknown as TlsServer, logger, { current: tls });
    opened.defer(() => watch.close());
  }
  return http;
}

function apiOf(config: Config, parts: ListenersParts, { connections, observe }: Common): RawHandler {
  const { database, blobs, uploads, manifests, pulls, audit, clientOf, limits } = parts;
  const { access, tokenServer } = parts.access;
  const audited = auditRequests({ audit, pulls: config.audit.pulls });
  return registryApi({
    database,
    blobs,
    uploads,
    manifests,
    pulls,
    clientOf,
    redirects: config.storage.type === 's3' ? redirectsOf(config.storage.s3) : undefined,
    access,
    tokenServer,
    locationBase: config.absoluteLocations ? (client) => baseUrlOf(client, config.externalUrl) : undefined,
    maxManifestSize: config.manifests.maxSize,
    deletesEnabled: config.deletes.enabled,
    limits,
    connections,
    observe(served) {
      observe(served);
      audited(served);
    },
  });
}
