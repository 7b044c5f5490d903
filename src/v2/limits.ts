// Rate limits of requests and pulls. Without configured limits this code does not run.
import type { Identity } from '../access/identity.ts';
import { type PullLimit, PullLimits, type PullLimitsParts } from '../access/pull-limits.ts';
import { RequestLimits } from '../access/request-limits.ts';
import type { Config } from '../config/schema.ts';
import { ErrorWithHeaders, type Headers } from '../http/answer.ts';
import type { HttpRequest } from '../http/request.ts';
import type { Route } from './routes.ts';

export interface Limits extends Pick<RequestLimits, 'countByAddress' | 'countByUser'> {
  /**
   * Counts an authorized request. Returns headers for its answer, which may be an error.
   * @throws RegistryError `TOOMANYREQUESTS`
   */
  admit(request: HttpRequest, route: Route, identity: Identity): Promise<Headers | undefined>;
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
    countByUser: (identity) => requests.countByUser(identity),
    countByAddress: (request) => requests.countByAddress(request),
    async admit(request, route, identity) {
      requests.countByUser(identity);
      if (route.action !== 'getManifest') return undefined;
      const limit = pulls.of(identity.principal, request.client.address);
      if (limit === undefined) return undefined;
      // A HEAD is no pull: it asks for the digest of a tag and the pulls left.
      return headersOf(limit, await (request.isHead ? limit.left() : countPull(limit)));
    },
  };
}

/** Returns the pulls left. */
async function countPull(limit: PullLimit): Promise<number> {
  const left = await limit.take();
  if (left !== undefined) return left;
  const { source, limit: pulls, window, retryAfter } = limit;
  const detail = `pull limit of ${source} reached: ${pulls} in ${window} seconds`;
  throw new ErrorWithHeaders('TOOMANYREQUESTS', detail, headersOf(limit, 0), { retryAfter });
}

/** The headers of Docker Hub, which tools already read. */
function headersOf({ source, limit, window }: PullLimit, left: number): Headers {
  return {
    'RateLimit-Limit': `${limit};w=${window}`,
    'RateLimit-Remaining': `${left};w=${window}`,
    'Docker-RateLimit-Source': source,
  };
}
