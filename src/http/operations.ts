import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Registry } from 'prom-client';
import { RegistryError } from '../oci/errors.ts';
import { retryHeaders, statusOf } from './error-status.ts';
import { note } from './observe.ts';

const unavailable = new RegistryError('UNAVAILABLE');

/** The sources of the operations endpoints. */
export interface OperationsParts {
  readonly metrics: Pick<Registry, 'contentType' | 'metrics'>;
  /** Resolves when Berth can serve requests; rejects with the reason when not. */
  readonly ready: () => Promise<Readiness>;
}

/** The state of a registry that is ready. */
export interface Readiness {
  /** Why it is read-only; `undefined` when it accepts writes. */
  readonly readOnly?: string | undefined;
}

/** Rejects with RegistryError `UNAUTHORIZED`, `DENIED` or `TOOMANYREQUESTS`, or with an internal error. */
export type CheckReader = (request: IncomingMessage, requestId: string) => Promise<void>;

/**
 * `GET /healthz` (the process runs), `/readyz` (it can serve requests), `/metrics` (Prometheus).
 *
 * @param checkReader authorizes readers of the metrics; absent: everyone who reaches the listener may read them
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
  const isCallerError = ['UNAUTHORIZED', 'DENIED', 'TOOMANYREQUESTS'].includes(known.code);
  if (!isCallerError) reply.log.warn({ err: error }, 'checking the credentials for /metrics failed');
  if (known.code === 'UNAUTHORIZED') reply.header('WWW-Authenticate', 'Basic realm="berth"');
  const answered = isCallerError ? known : unavailable;
  return reply.code(statusOf[answered.code]).headers(retryHeaders(answered)).send();
}
