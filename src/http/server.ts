import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { ServerOptions as TlsOptions } from 'node:https';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import { requestId } from './request-id.ts';

/** Answers everything below `/v2`; see `v2/api.ts`. */
export type RawHandler = (
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
) => Promise<void>;

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;
const maxUrl = 16_384;

/** The Fastify instance: `/v2` goes to `api` on the raw streams, all else is added by routes of its own. */
export function createServer(options: {
  logger: FastifyBaseLogger;
  tls: TlsOptions | undefined;
  maxConnections: number;
  api: RawHandler;
}): FastifyInstance {
  const http = Fastify({
    // Fastify's own messages repeat what the access log and the start say.
    loggerInstance: options.logger.child({}, { level: 'warn' }),
    logController: new LogController({ disableRequestLogging: true }),
    ...(options.tls && { https: options.tls }),
    // A layer may take hours; SlowTransfers ends what does not move.
    requestTimeout: 0,
    // Above what load balancers use (60 s as a rule), or they send into a connection that just closed.
    keepAliveTimeout: 75_000,
    forceCloseConnections: false,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: maxUrl },
    // A URL that is not percent-encoded well: the API says what is wrong with it in its own words.
    frameworkErrors: (_error, request, reply) => {
      reply.hijack();
      void options.api(request.raw, reply.raw, request.id);
    },
    genReqId: requestId,
  }) as FastifyInstance;

  // Bodies are streams that only their handlers read.
  http.removeAllContentTypeParsers();
  http.addContentTypeParser('*', (_request, _payload, done) => done(null));
  for (const url of ['/v2', '/v2/*']) {
    http.route({
      method: [...methods],
      url,
      // In the first hook: what Fastify would check next (media types, lengths) the API judges in its own words.
      onRequest: (request, reply) => {
        reply.hijack();
        void options.api(request.raw, reply.raw, request.id);
      },
      handler: () => {},
    });
  }

  const server = http.server as Server;
  server.maxConnections = options.maxConnections;
  server.headersTimeout = 30_000;
  // Whether a body is wanted is known only when the request has been checked: `acceptBody` says so.
  server.on('checkContinue', (request, response) => server.emit('request', request, response));
  return http;
}

/** A listener for health and metrics alone. */
export function createOperationsServer(logger: FastifyBaseLogger): FastifyInstance {
  return Fastify({
    loggerInstance: logger.child({}, { level: 'warn' }),
    logController: new LogController({ disableRequestLogging: true }),
  });
}
