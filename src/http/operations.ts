import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Registry } from 'prom-client';
import { RegistryError } from '../oci/errors.ts';
import { retryHeaders, statusOf } from './error-status.ts';
import { note } from './observe.ts';

const unavailable = new RegistryError('UNAVAILABLE');

/** What the operations endpoints ask. */
export interface OperationsParts {
  readonly metrics: Pick<Registry, 'contentType' | 'metrics'>;
  /** Resolves when requests can be served; rejects with the reason when not. */
  readonly ready: () => Promise<Readiness>;
}

/** What a registry that is ready says of itself. */
export interface Readiness {
  /** Why it takes no writes, where it takes none. */
  readonly readOnly?: string | undefined;
}

/** Rejects with what stands against it: RegistryError `UNAUTHORIZED`, `DENIED`, `TOOMANYREQUESTS`, or a fault of the registry's. */
export type CheckReader = (request: IncomingMessage, requestId: string) => Promise<void>;

/**
 * `GET /healthz` (the process lives), `/readyz` (it can serve), `/metrics` (Prometheus).
 *
 * @param checkReader who may read the metrics; absent: everyone who reaches the listener
 */
export function addOperations(
  http: FastifyInstance,
  { metrics, ready }: OperationsParts,
  checkReader?: CheckReader,
): void {
  http.get('/healthz', async () => ({ status: 'ok' }));
  http.get('/readyz', async (request, reply) => {
    try {
      const { readOnly } = await ready();
      return { status: 'ready', ...(readOnly !== undefined && { readOnly }) };
    } catch (error) {
      request.log.warn({ err: error }, 'not ready');
      return reply.code(503).headers(retryHeaders(unavailable)).send({ status: 'not ready' });
    }
  });
  http.get('/metrics', async (request, reply) => {
    try {
      await checkReader?.(request.raw, request.id);
    } catch (error) {
      return refuse(reply, error);
    }
    return reply.header('Content-Type', metrics.contentType).send(await metrics.metrics());
  });
}

function refuse(reply: FastifyReply, error: unknown): FastifyReply {
  if (error instanceof RegistryError) note(reply.request.raw, { error });
  const known = error instanceof RegistryError ? error : unavailable;
  const isOfCaller = ['UNAUTHORIZED', 'DENIED', 'TOOMANYREQUESTS'].includes(known.code);
  if (!isOfCaller) reply.log.warn({ err: error }, 'credentials for the metrics could not be checked');
  if (known.code === 'UNAUTHORIZED') reply.header('WWW-Authenticate', 'Basic realm="berth"');
  const answered = isOfCaller ? known : unavailable;
  return reply.code(statusOf[answered.code]).headers(retryHeaders(answered)).send();
}
