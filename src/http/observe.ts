import type { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Answered } from '../telemetry/access-log.ts';
import type { ClientOf } from './client.ts';

const operations: readonly (string | undefined)[] = ['/healthz', '/readyz', '/metrics'];

/** Whether a route is one of those that monitoring reads, many times a minute and also when there is no room for anybody else. */
export function isOperationsPath(url: string | undefined): boolean {
  return operations.includes(url);
}

/** What a route has found out about a request, for the logs. */
interface Notes {
  readonly identity?: Answered['identity'];
  readonly error?: Answered['error'];
  /** Bytes of the body. */
  readonly received?: number;
}

const notes = new WeakMap<IncomingMessage, Notes>();

/** Adds to what is logged of a request that Fastify answers, when it has been answered. */
export function note(request: IncomingMessage, more: Notes): void {
  notes.set(request, { ...notes.get(request), ...more });
}

/** nginx's for a client that was gone before its answer. */
const gone = 499;

/** Tells `observe` of a request that Fastify answers, once its answer is sent or its connection gone; gives it its `X-Request-Id`. */
export function observeAnswer(
  request: FastifyRequest,
  reply: FastifyReply,
  { clientOf, observe }: { clientOf: ClientOf; observe: (answered: Answered) => void },
): void {
  reply.header('X-Request-Id', request.id);
  // A connection that is gone does not tell whose it was.
  const { address } = clientOf(request.raw);
  const start = performance.now();
  let told = false;
  const tell = (): void => {
    if (told) return;
    told = true;
    observe(answeredOf(request, reply, address, performance.now() - start));
  };
  reply.raw.once('finish', tell).once('close', tell);
}

function answeredOf(
  request: FastifyRequest,
  reply: FastifyReply,
  address: string,
  duration: number,
): Answered {
  const { raw, method } = request;
  const { url } = request.routeOptions;
  const { identity, error, received = 0 } = notes.get(raw) ?? {};
  return {
    exchange: {
      request: raw,
      client: { address },
      requestId: request.id,
      sent: method === 'HEAD' ? 0 : Number(reply.getHeader('content-length') ?? 0),
      received,
    },
    route: url === undefined ? undefined : { action: actionOf(method, url) },
    identity,
    status: reply.raw.headersSent ? reply.raw.statusCode : gone,
    duration,
    error,
    isProbe: isOperationsPath(url),
  };
}

/** `POST /auth/account/tokens` is `postAccountTokens`, as the API's are `putManifest` and the like. */
function actionOf(method: string, url: string): string {
  const words = url === '/' ? ['root'] : url.split(/[/-]/).filter((word) => word !== '' && word !== 'auth');
  return method.toLowerCase() + words.map((word) => word[0]?.toUpperCase() + word.slice(1)).join('');
}
