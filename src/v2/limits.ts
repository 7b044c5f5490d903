// How much a client may ask for. Where nothing is limited, there is none of this and it costs nothing.
import type { IncomingMessage } from 'node:http';
import { type Identity, principalKey } from '../access/identity.ts';
import { networkOf } from '../access/network-of.ts';
import { type PullLimit, PullLimits, type PullLimitsParts } from '../access/pull-limits.ts';
import { Rate } from '../access/rate.ts';
import type { Config } from '../config/schema.ts';
import { RegistryError } from '../oci/errors.ts';
import type { Exchange } from './exchange.ts';
import type { Route } from './routes.ts';

export interface Limits {
  /** Before anything else is done for a request. @throws RegistryError `TOOMANYREQUESTS` */
  arrive(request: IncomingMessage): void;
  /** When it is known who sent it, and that they may. @throws RegistryError `TOOMANYREQUESTS` */
  admit(exchange: Exchange, route: Route, identity: Identity): Promise<void>;
}

export interface LimitsParts extends Omit<PullLimitsParts, 'window' | 'perAddress' | 'perUser'> {
  readonly addressOf: (request: IncomingMessage) => string | undefined;
}

/** `undefined` when the settings limit nothing. */
export function limitsOf(settings: Config['rateLimits'], parts: LimitsParts): Limits | undefined {
  const { requestsPerAddress, requestsPerUser, pullsPerAddress, pullsPerUser, pullWindow } = settings;
  if ((requestsPerAddress ?? requestsPerUser ?? pullsPerAddress ?? pullsPerUser) === undefined) {
    return undefined;
  }
  // Who has no address is gone.
  const addressOf = (request: IncomingMessage): string => parts.addressOf(request) ?? '';
  const byAddress = requestsPerAddress === undefined ? undefined : new Rate(requestsPerAddress);
  const byUser = requestsPerUser === undefined ? undefined : new Rate(requestsPerUser);
  const pulls = new PullLimits({
    ...parts,
    window: pullWindow,
    perAddress: pullsPerAddress,
    perUser: pullsPerUser,
  });

  return {
    arrive(request) {
      if (byAddress)
        take(
          byAddress,
          networkOf(addressOf(request)),
          `requests of this address: at most ${requestsPerAddress}`,
        );
    },
    async admit(exchange, route, { principal }) {
      if (byUser && principal.kind !== 'anonymous') {
        take(byUser, principalKey(principal), `requests of ${principal.name}: at most ${requestsPerUser}`);
      }
      if (route.action !== 'getManifest') return;
      const limit = pulls.of(principal, addressOf(exchange.request));
      // A HEAD asks where a tag stands, and how many pulls are left; it pulls nothing.
      if (limit !== undefined) await (exchange.isHead ? tell(exchange, limit) : pull(exchange, limit));
    },
  };
}

function take(rate: Rate, key: string, who: string): void {
  const wait = rate.take(key, performance.now());
  if (wait === 0) return;
  throw new RegistryError('TOOMANYREQUESTS', `${who} in a minute`, { retryAfter: wait });
}

async function tell(exchange: Exchange, limit: PullLimit): Promise<void> {
  exchange.extraHeaders = headersOf(limit, await limit.left());
}

async function pull(exchange: Exchange, limit: PullLimit): Promise<void> {
  const left = await limit.take();
  exchange.extraHeaders = headersOf(limit, left ?? 0);
  if (left !== undefined) return;
  const { source, limit: pulls, window, retryAfter } = limit;
  throw new RegistryError('TOOMANYREQUESTS', `pulls of ${source}: at most ${pulls} in ${window} seconds`, {
    retryAfter,
  });
}

/** As Docker Hub sends them, so that what reads its headers reads these. */
function headersOf({ source, limit, window }: PullLimit, left: number) {
  return {
    'RateLimit-Limit': `${limit};w=${window}`,
    'RateLimit-Remaining': `${left};w=${window}`,
    'Docker-RateLimit-Source': source,
  };
}
