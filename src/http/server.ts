import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { createServer as createHttpServer } from 'node:http';
import type { ServerOptions as TlsOptions } from 'node:https';
import { createServer as createHttpsServer } from 'node:https';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { announcesBody, closeAfterRefusal } from './body.ts';
import { requestId } from './request-id.ts';
import { normalizeTarget } from './request-target.ts';

/** Answers everything below `/v2`; see `v2/api.ts`. */
export type RawHandler = (
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
) => Promise<void>;

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;
const maxUrl = 16_384;

const timeouts = {
  // A layer may take hours; SlowTransfers ends what does not move.
  requestTimeout: 0,
  headersTimeout: 30_000,
  // Above what load balancers use (60 s as a rule), or they send into a connection that just closed.
  keepAliveTimeout: 75_000,
};

/**
 * The Fastify instance. Requests below `/v2` go to `api` on the raw streams: straight from the socket, as Fastify's own work for
 * a request costs as much as a whole manifest GET, and through a route for `inject()`.
 */
export function createServer(options: {
  logger: FastifyBaseLogger;
  tls: TlsOptions | undefined;
  maxConnections: number;
  api: RawHandler;
}): FastifyInstance {
  const { api, tls } = options;
  const http = Fastify({
    // Fastify's own messages repeat what the access log and the start say.
    loggerInstance: options.logger.child({}, { level: 'warn' }),
    logController: new LogController({ disableRequestLogging: true }),
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: maxUrl, ignoreTrailingSlash: true },
    // For `inject()`; what comes from a socket is canonical already.
    rewriteUrl: normalizeTarget,
    // A URL that is not percent-encoded well: the API says what is wrong with it in its own words.
    frameworkErrors: (_error, request, reply) => {
      reply.hijack();
      void api(request.raw, reply.raw, requestId());
    },
    genReqId: requestId,
    serverFactory: (handleOther) => {
      const listener: RequestListener = (request, response) => {
        if (isApiUrl(normalizeTarget(request))) void api(request, response, requestId());
        else handleOther(request, response);
      };
      const server = tls
        ? createHttpsServer({ ...timeouts, ...tls }, listener)
        : createHttpServer(timeouts, listener);
      server.maxConnections = options.maxConnections;
      // Whether a body is wanted is known only when the request has been checked: `acceptBody` says so.
      server.on('checkContinue', listener);
      return server;
    },
  }) as FastifyInstance;

  // Pages read no body; what comes with one is neither kept nor waited for. (/v2 answers by itself and sees to its own.)
  http.addHook('onSend', async (request, reply) => {
    if (announcesBody(request.raw) && !request.raw.complete) closeAfterRefusal(request.raw, reply.raw);
  });
  http.setNotFoundHandler(replyNotFound);
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
  return http;
}

function isApiUrl(url: string): boolean {
  return url.startsWith('/v2') && (url.length === 3 || url[3] === '/' || url[3] === '?');
}

/** Fastify's own answer repeats the URL, and some clients put credentials into URLs. */
function replyNotFound(_request: FastifyRequest, reply: FastifyReply): void {
  reply.code(404).send({ statusCode: 404, error: 'Not Found', message: 'there is nothing at this URL' });
}

/** A listener for health and metrics alone. */
export function createOperationsServer(logger: FastifyBaseLogger): FastifyInstance {
  const http = Fastify({
    loggerInstance: logger.child({}, { level: 'warn' }),
    logController: new LogController({ disableRequestLogging: true }),
    routerOptions: { ignoreTrailingSlash: true },
    rewriteUrl: normalizeTarget,
  }) as FastifyInstance;
  http.setNotFoundHandler(replyNotFound);
  return http;
}
