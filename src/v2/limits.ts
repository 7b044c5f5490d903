// Rate limits of requests and pulls. Without configured limits this code does not run.
import type { Identity } from '../access/identity.ts';
import { type PullLimit, PullLimits, type PullLimitsParts } from '../access/pull-limits.ts';
import { RequestLimits } from '../access/request-limits.ts';
import type { Config } from '../config/schema.ts';
import { RegistryError } from '../oci/errors.ts';
import type { Exchange } from './exchange.ts';
import type { Route } from './routes.ts';

export interface Limits extends Pick<RequestLimits, 'arrive' | 'count'> {
  /** Counts an authorized request. @throws RegistryError `TOOMANYREQUESTS` */
  admit(exchange: Exchange, route: Route, identity: Identity): Promise<void>;
}

export type LimitsParts = Omit<PullLimitsParts, 'window' | 'perAddress' | 'perUser'>;

/** `undefined` when no limit is configured. */
export function limitsOf(settings: Config['rateLimits'], parts: LimitsParts): Limits | undefined {
  const { requestsPerAddress, requestsPerUser, pullsPerAddress, pullsPerUser, pullWindow } = settings;
  if ((requestsPerAddress ?? requestsPerUser ?? pullsPerAddress ?? pullsPerUser) === undefined) {
    return undefined;
  }
  const requests = new RequestLimits({ perAddress: requestsPerAddress, perUser: requestsPerUser });
  const pulls = new PullLimits({
    ...parts,
    window: pullWindow,
    perAddress: pullsPerAddress,
    perUser: pullsPerUser,
  });

  return {
    count: (identity) => requests.count(identity),
    arrive: (request) => requests.arrive(request),
    async admit(exchange, route, identity) {
      requests.count(identity);
      if (route.action !== 'getManifest') return;
      const limit = pulls.of(identity.principal, exchange.client.address);
      // A HEAD is no pull: it asks for the digest of a tag and the pulls left.
      if (limit !== undefined) await (exchange.isHead ? tell(exchange, limit) : pull(exchange, limit));
    },
  };
}

async function tell(exchange: Exchange, limit: PullLimit): Promise<void> {
  exchange.extraHeaders = headersOf(limit, await limit.left());
}

async function pull(exchange: Exchange, limit: PullLimit): Promise<void> {
  const left = await limit.take();
  exchange.extraHeaders = headersOf(limit, left ?? 0);
  if (left !== undefined) return;
  const { source, limit: pulls, window, retryAfter } = limit;
  throw new RegistryError(
    'TOOMANYREQUESTS',
    `pull limit of ${source} reached: ${pulls} in ${window} seconds`,
    {
      retryAfter,
    },
  );
}

/** The headers of Docker Hub, which tools already read. */
function headersOf({ source, limit, window }: PullLimit, left: number) {
  return {
    'RateLimit-Limit': `${limit};w=${window}`,
    'RateLimit-Remaining': `${left};w=${window}`,
    'Docker-RateLimit-Source': source,
  };
}
