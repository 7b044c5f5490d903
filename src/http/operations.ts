import type { FastifyInstance } from 'fastify';
import type { Registry } from 'prom-client';

/** What the operations endpoints ask. */
export interface OperationsParts {
  readonly metrics: Pick<Registry, 'contentType' | 'metrics'>;
  /** Resolves when requests can be served; rejects with the reason when not. */
  readonly ready: () => Promise<void>;
}

/** `GET /healthz` (the process lives), `/readyz` (it can serve), `/metrics` (Prometheus). */
export function addOperations(http: FastifyInstance, { metrics, ready }: OperationsParts): void {
  http.get('/healthz', async () => ({ status: 'ok' }));
  http.get('/readyz', async (request, reply) => {
    try {
      await ready();
      return { status: 'ready' };
    } catch (error) {
      request.log.warn({ err: error }, 'not ready');
      return reply.code(503).header('Retry-After', '5').send({ status: 'not ready' });
    }
  });
  http.get('/metrics', async (_request, reply) =>
    reply.header('Content-Type', metrics.contentType).send(await metrics.metrics()),
  );
}
