import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { networkOf } from '../../src/access/network-of.ts';
import type { ClientOf } from '../../src/http/client.ts';
import { ConnectionLimits } from '../../src/http/connection-limits.ts';
import { createServer } from '../../src/http/server.ts';
import type { Answered } from '../../src/telemetry/access-log.ts';

/** A registry's HTTP server without the registry, for routes outside its API. Records its answers in `answered`. */
export function pagesServer(clientOf: ClientOf): { http: FastifyInstance; answered: Answered[] } {
  const answered: Answered[] = [];
  const limits = { maxConnections: 100, connectionsPerNetwork: 100, trustedProxies: [], networkOf };
  const http = createServer({
    logger: pino({ level: 'silent' }),
    limits: { idleTimeout: 60_000, minimumRate: 0 },
    connections: new ConnectionLimits(limits),
    clientOf,
    observe: (one) => answered.push(one),
    api: async () => {},
  });
  return { http, answered };
}
