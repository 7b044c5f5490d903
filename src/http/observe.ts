import type { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Answered } from '../telemetry/access-log.ts';
import type { ClientOf } from './client.ts';

const operations: readonly (string | undefined)[] = ['/healthz', '/readyz', '/metrics'];

/** Whether a route is for monitoring, which polls it many times a minute and also gets an answer beyond the connection limits. */
export function isOperationsPath(url: string | undefined): boolean {
  return operations.includes(url);
}

/** Facts about a request that its route adds for the logs. */
interface Notes {
  readonly identity?: Answered['identity'];
  readonly error?: Answered['error'];
  /** Bytes of the body. */
  readonly received?: number;
}

const notes = new WeakMap<IncomingMessage, Notes>();

/** Adds to the log entry of a request that Fastify answers. */
export function note(request: IncomingMessage, more: Notes): void {
  notes.set(request, { ...notes.get(request), ...more });
}

/** nginx's status for a client that closed the connection before its answer. */
const gone = 499;

/** Reports a request that Fastify answers to `observe`, when it is answered or its connection closes; sets `X-Request-Id`. */
export function observeAnswer(
  request: FastifyRequest,
  reply: FastifyReply,
  { clientOf, observe }: { clientOf: ClientOf; observe: (answered: Answered) => void },
): void {
  reply.header('X-Request-Id', request.id);
  // Read now: a closed connection has no address.
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

/** `POST /auth/account/tokens` is `postAccountTokens`, in the style of the API's `putManifest`. */
function actionOf(method: string, url: string): string {
  const words = url === '/' ? ['root'] : url.split(/[/-]/).filter((word) => word !== '' && word !== 'auth');
  return method.toLowerCase() + words.map((word) => word[0]?.toUpperCase() + word.slice(1)).join('');
}
