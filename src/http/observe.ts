import type { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Answered } from '../telemetry/access-log.ts';
import type { ClientOf } from './client.ts';
import { clientGone } from './error-status.ts';

const operations: readonly (string | undefined)[] = ['/healthz', '/readyz', '/metrics'];

/** Whether a route is for monitoring. It is polled many times a minute, and is answered beyond the connection limits too. */
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

/** Adds facts to the log entry of a request that Fastify answers. */
export function note(request: IncomingMessage, more: Notes): void {
  notes.set(request, { ...notes.get(request), ...more });
}

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
  let reported = false;
  const report = (): void => {
    if (reported) return;
    reported = true;
    observe(answeredOf(request, reply, address, performance.now() - start));
  };
  reply.raw.once('finish', report).once('close', report);
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
    request: { id: request.id, method, url: raw.url, headers: raw.headers, client: { address } },
    route: url === undefined ? undefined : { action: actionOf(method, url) },
    identity,
    status: reply.raw.headersSent ? reply.raw.statusCode : clientGone,
    sent: method === 'HEAD' ? 0 : Number(reply.getHeader('content-length') ?? 0),
    received,
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
