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

/** What a listener needs of the rest of the house. */
export interface ServerParts {
  readonly logger: FastifyBaseLogger;
  readonly tls?: TlsOptions | undefined;
  /** Milliseconds, and bytes a second. */
  readonly limits: { readonly idleTimeout: number; readonly minimumRate: number };
  readonly connections: ConnectionLimits;
  readonly clientOf: ClientOf;
  /** Told of every request when it has been answered, but of those that `api` answers. */
  readonly observe: (answered: Answered) => void;
  /** Absent: the listener is for health and metrics alone. */
  readonly api?: RawHandler | undefined;
}

/**
 * The Fastify instance. Requests below `/v2` go to `api` on the raw streams: straight from the socket, as Fastify's own work for
 * a request costs as much as a whole manifest GET, and through a route for `inject()`.
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
    // For `inject()`; what comes from a socket is canonical already.
    rewriteUrl: normalizeTarget,
    genReqId: requestId,
    // A URL that is not percent-encoded well.
    frameworkErrors: (_error, request, reply) => {
      if (api && isApiUrl(request.raw.url as string)) {
        reply.hijack();
        // It says what is wrong with it in its own words.
        void api(request.raw, reply.raw, requestId());
      } else {
        observeAnswer(request, reply as FastifyReply, parts);
        refuse(request, reply as FastifyReply, parts) ?? replyNotFound(reply as FastifyReply);
      }
    },
    clientErrorHandler: malformed,
    serverFactory: (handleOther) => nodeServer(parts, stalled, handleOther),
  }) as FastifyInstance;
  // Node tells of it apart, and would close the connection without a word.
  http.server.on('connect', (_request, socket: Socket) => {
    // It has no other listener any more.
    socket.on('error', () => {});
    malformed(new ConnectRefused(), socket);
  });
  addHooks(http, parts);
  // Routes that want a body say which they take.
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
    // `refusalOfHead` asks for Host in the words of this server, and finds two of them when they are joined.
    requireHostHeader: false,
    joinDuplicateHeaders: true,
  };
  const server = tls
    ? createHttpsServer({ ...options, ...tls }, listener)
    : createHttpServer(options, listener);
  connections.count(server);
  // Whether a body is wanted is known only when the request has been checked: `acceptBody` says so.
  server.on('checkContinue', listener);
  return server;
}

/** For all that Fastify answers. */
function addHooks(http: FastifyInstance, parts: ServerParts): void {
  http.addHook('onRequest', async (request, reply) => {
    // The API sees to its own.
    if (parts.api && isApiUrl(request.raw.url as string)) return;
    observeAnswer(request, reply, parts);
    return refuse(request, reply, parts);
  });
  // What comes with a request that takes no body is neither kept nor waited for.
  http.addHook('onSend', async ({ raw }, reply) => {
    if (announcesBody(raw) && !raw.complete) closeAfterRefusal(raw, reply.raw);
  });
}

/** Answers what is refused whatever it asks for; `undefined` when nothing is wrong. */
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

/** Methods that Node knows and this server has nowhere. */
function refusalOfMethod(method: string): RegistryError | undefined {
  if ((methods as readonly string[]).includes(method)) return undefined;
  return new RegistryError('NOT_IMPLEMENTED', `there is no ${method} here`);
}

/** Why a connection is one too many. Monitoring is answered all the same. */
function excessOf(request: FastifyRequest, { connections }: ServerParts): RegistryError | undefined {
  return isOperationsPath(request.routeOptions.url) ? undefined : connections.refusalOf(request.raw);
}

function addApiRoutes(http: FastifyInstance, api: RawHandler): void {
  for (const url of ['/v2', '/v2/*']) {
    http.route({
      method: [...methods],
      url,
      // In the first hook: what Fastify would check next (media types, lengths) the API judges in its own words.
      onRequest: (request, reply) => {
        reply.hijack();
        void api(request.raw, reply.raw, request.id);
      },
      handler: () => {},
    });
  }
}

/** Fastify's own messages repeat what the access log and the start say, but for its warnings. */
function levelOfFastify({ level }: FastifyBaseLogger): string {
  return ['error', 'fatal', 'silent'].includes(level) ? level : 'warn';
}

/** Node's own limits: for connections that have not sent the head of a request, or nothing since the last one. */
function timeoutsOf({ idleTimeout }: ServerParts['limits']) {
  const headersTimeout = Math.min(Math.max(idleTimeout, 2_000), 30_000);
  return {
    // A layer may take hours; StalledRequests ends what does not move.
    requestTimeout: 0,
    headersTimeout,
    handshakeTimeout: headersTimeout,
    connectionsCheckingInterval: Math.max(headersTimeout / 8, 10),
    // Above what load balancers use (60 s as a rule), or they send into a connection that just closed.
    keepAliveTimeout: 75_000,
  };
}

function isApiUrl(url: string): boolean {
  return url.startsWith('/v2') && (url.length === 3 || url[3] === '/' || url[3] === '?');
}

/** Fastify's own answer repeats the URL, and some clients put credentials into URLs. */
function replyNotFound(reply: FastifyReply): void {
  reply.code(404).send(messageOf(404, 'there is nothing at this URL'));
}

function messageOf(statusCode: number, message: string) {
  return { statusCode, error: STATUS_CODES[statusCode], message };
}
