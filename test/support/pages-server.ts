import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import type { ClientOf } from '../../src/http/client.ts';
import { createServer } from '../../src/http/server.ts';
import type { Answered } from '../../src/telemetry/access-log.ts';

/** The server of a registry without the registry: for routes that stand beside its API. What it has answered is in `answered`. */
export function pagesServer(clientOf: ClientOf): { http: FastifyInstance; answered: Answered[] } {
  const answered: Answered[] = [];
  const http = createServer({
    logger: pino({ level: 'silent' }),
    limits: { idleTimeout: 60_000, minimumRate: 0 },
    maxConnections: 100,
    clientOf,
    observe: (one) => answered.push(one),
    api: async () => {},
  });
  return { http, answered };
}
