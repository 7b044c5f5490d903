import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { createServer as createHttpServer, STATUS_CODES } from 'node:http';
import type { ServerOptions as TlsOptions } from 'node:https';
import { createServer as createHttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { RegistryError } from '../oci/errors.ts';
import type { Answered } from '../telemetry/access-log.ts';
import { announcesBody, closeAfterRefusal } from './body.ts';
import type { ClientOf } from './client.ts';
import type { ConnectionLimits } from './connection-limits.ts';
import { retryHeaders, statusOf } from './error-status.ts';
import { answerMalformed, ConnectRefused } from './malformed-requests.ts';
import { isOperationsPath, note, observeAnswer } from './observe.ts';
import { oneAtATime } from './one-at-a-time.ts';
import { refusalOfHead } from './request-head.ts';
import { requestId } from './request-id.ts';
import { normalizeTarget } from './request-target.ts';
import { StalledRequests } from './stalled-requests.ts';

/** Answers everything below `/v2`; see `v2/api.ts`. */
export type RawHandler = (
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
) => Promise<void>;

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;
const maxUrl = 16_384;

/** The parts that a listener needs. */
export interface ServerParts {
  readonly logger: FastifyBaseLogger;
  readonly tls?: TlsOptions | undefined;
  /** Milliseconds, and bytes a second. */
  readonly limits: { readonly idleTimeout: number; readonly minimumRate: number };
  readonly connections: ConnectionLimits;
  readonly clientOf: ClientOf;
  /** Called for every answered request, except those that `api` answers. */
  readonly observe: (answered: Answered) => void;
  /** Absent: the listener serves health and metrics only. */
  readonly api?: RawHandler | undefined;
}

/**
 * Creates the Fastify instance. Requests below `/v2` go directly from the socket to `api`, on the raw streams: Fastify's own work
 * for a request costs as much as a whole manifest GET. Requests of `inject()` reach `api` through a route.
 */
export function createServer(parts: ServerParts): FastifyInstance {
  const { logger, api } = parts;
  const stalled = new StalledRequests(parts.limits);
  const malformed = answerMalformed({ ...parts, currentOf: (socket) => stalled.currentOf(socket) });
  const http = Fastify({
    loggerInstance: logger.child({}, { level: levelOfFastify(logger) }),
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    exposeHeadRoutes: api === undefined,
    routerOptions: { maxParamLength: maxUrl, ignoreTrailingSlash: true },
    // For `inject()`; targets from a socket are normalized already.
    rewriteUrl: normalizeTarget,
    genReqId: requestId,
    // Called for malformed percent-encoding.
    frameworkErrors: (_error, request, reply) => {
      if (api && isApiUrl(request.raw.url as string)) {
        reply.hijack();
        // The API has its own error for it.
        void api(request.raw, reply.raw, requestId());
      } else {
        observeAnswer(request, reply as FastifyReply, parts);
        refuse(request, reply as FastifyReply, parts) ?? replyNotFound(reply as FastifyReply);
      }
    },
    clientErrorHandler: malformed,
    serverFactory: (handleOther) => nodeServer(parts, stalled, handleOther),
  }) as FastifyInstance;
  // Without this listener Node closes the connection without an answer.
  http.server.on('connect', (_request, socket: Socket) => {
    // Node has removed its own error listener.
    socket.on('error', () => {});
    malformed(new ConnectRefused(), socket);
  });
  addHooks(http, parts);
  // Each route that takes a body adds its own parser.
  http.removeAllContentTypeParsers();
  http.setNotFoundHandler((_request, reply) => replyNotFound(reply));
  if (api) addApiRoutes(http, api);
  return http;
}

function nodeServer(
  { api, connections, limits, tls }: ServerParts,
  stalled: StalledRequests,
  handleOther: RequestListener,
): Server {
  const listener = oneAtATime((request, response) => {
    stalled.watch(request, response);
    if (connections.refusalOf(request)) response.shouldKeepAlive = false;
    const target = normalizeTarget(request);
    if (api && isApiUrl(target)) void api(request, response, requestId());
    else handleOther(request, response);
  });
  const options = {
    ...timeoutsOf(limits),
    // `refusalOfHead` refuses a missing Host with our own error, and recognises two Hosts when they are joined.
    requireHostHeader: false,
    joinDuplicateHeaders: true,
  };
  const server = tls
    ? createHttpsServer({ ...options, ...tls }, listener)
    : createHttpServer(options, listener);
  connections.count(server);
  // `acceptBody` sends 100 Continue once the request has been checked.
  server.on('checkContinue', listener);
  return server;
}

/** Hooks for all requests that Fastify answers. */
function addHooks(http: FastifyInstance, parts: ServerParts): void {
  http.addHook('onRequest', async (request, reply) => {
    // The API does its own checks and logging.
    if (parts.api && isApiUrl(request.raw.url as string)) return;
    observeAnswer(request, reply, parts);
    return refuse(request, reply, parts);
  });
  // A body that the handler has not read is discarded, and its connection closes.
  http.addHook('onSend', async ({ raw }, reply) => {
    if (announcesBody(raw) && !raw.complete) closeAfterRefusal(raw, reply.raw);
  });
}

/** Answers a request that is refused on any route; `undefined` when it is accepted. */
function refuse(request: FastifyRequest, reply: FastifyReply, parts: ServerParts): FastifyReply | undefined {
  const refusal = refusalOfHead(request.raw) ?? refusalOfMethod(request.method) ?? excessOf(request, parts);
  if (refusal === undefined) return undefined;
  note(request.raw, { error: refusal });
  const status = statusOf[refusal.code];
  return reply
    .code(status)
    .headers(retryHeaders(refusal))
    .send(messageOf(status, `${refusal.detail}`));
}

/** Refuses methods that no route has. */
function refusalOfMethod(method: string): RegistryError | undefined {
  if ((methods as readonly string[]).includes(method)) return undefined;
  return new RegistryError('NOT_IMPLEMENTED', `${method} is not supported`);
}

/** The error for a connection beyond the limits, except for monitoring. */
function excessOf(request: FastifyRequest, { connections }: ServerParts): RegistryError | undefined {
  return isOperationsPath(request.routeOptions.url) ? undefined : connections.refusalOf(request.raw);
}

function addApiRoutes(http: FastifyInstance, api: RawHandler): void {
  for (const url of ['/v2', '/v2/*']) {
    http.route({
      method: [...methods],
      url,
      // In the first hook, before Fastify checks media types and lengths: the API has its own errors for them.
      onRequest: (request, reply) => {
        reply.hijack();
        void api(request.raw, reply.raw, request.id);
      },
      handler: () => {},
    });
  }
}

/** Below `warn`, Fastify's messages repeat the access log and the start-up messages. */
function levelOfFastify({ level }: FastifyBaseLogger): string {
  return ['error', 'fatal', 'silent'].includes(level) ? level : 'warn';
}

/** Node's own timeouts, for request heads and idle connections. */
function timeoutsOf({ idleTimeout }: ServerParts['limits']) {
  const headersTimeout = Math.min(Math.max(idleTimeout, 2_000), 30_000);
  return {
    // A layer may take hours; StalledRequests ends stalled requests.
    requestTimeout: 0,
    headersTimeout,
    handshakeTimeout: headersTimeout,
    connectionsCheckingInterval: Math.max(headersTimeout / 8, 10),
    // Longer than the usual 60 s of load balancers, or they send into a connection that just closed.
    keepAliveTimeout: 75_000,
  };
}

function isApiUrl(url: string): boolean {
  return url.startsWith('/v2') && (url.length === 3 || url[3] === '/' || url[3] === '?');
}

/** Does not repeat the URL as Fastify's own answer does: some clients put credentials into URLs. */
function replyNotFound(reply: FastifyReply): void {
  reply.code(404).send(messageOf(404, 'no such resource'));
}

function messageOf(statusCode: number, message: string) {
  return { statusCode, error: STATUS_CODES[statusCode], message };
}
