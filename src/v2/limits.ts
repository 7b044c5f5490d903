// How much a client may ask for. Where nothing is limited, there is none of this and it costs nothing.
import { type Identity, principalKey } from '../access/identity.ts';
import { networkOf } from '../access/network-of.ts';
import { type PullLimit, PullLimits, type PullLimitsParts } from '../access/pull-limits.ts';
import { RateLimit } from '../access/rate-limit.ts';
import type { Config } from '../config/schema.ts';
import { RegistryError } from '../oci/errors.ts';
import type { Exchange } from './exchange.ts';
import type { Route } from './routes.ts';

export interface Limits {
  /** Before anything else is done for a request. @throws RegistryError `TOOMANYREQUESTS` */
  arrive(request: { readonly client: { readonly address: string } }): void;
  /** One more request of whoever has shown who they are. @throws RegistryError `TOOMANYREQUESTS` */
  count(identity: Identity): void;
  /** When it is known who sent it, and that they may. @throws RegistryError `TOOMANYREQUESTS` */
  admit(exchange: Exchange, route: Route, identity: Identity): Promise<void>;
}

export type LimitsParts = Omit<PullLimitsParts, 'window' | 'perAddress' | 'perUser'>;

/** `undefined` when the settings limit nothing. */
export function limitsOf(settings: Config['rateLimits'], parts: LimitsParts): Limits | undefined {
  const { requestsPerAddress, requestsPerUser, pullsPerAddress, pullsPerUser, pullWindow } = settings;
  if ((requestsPerAddress ?? requestsPerUser ?? pullsPerAddress ?? pullsPerUser) === undefined) {
    return undefined;
  }
  const byAddress = rateLimit(requestsPerAddress);
  const byUser = rateLimit(requestsPerUser);
  const pulls = new PullLimits({
    ...parts,
    window: pullWindow,
    perAddress: pullsPerAddress,
    perUser: pullsPerUser,
  });

  const count = ({ principal }: Identity): void => {
    if (byUser && principal.kind !== 'anonymous') {
      take(byUser, principalKey(principal), `requests of ${principal.name}: at most ${requestsPerUser}`);
    }
  };

  return {
    count,
    arrive({ client }) {
      if (byAddress)
        take(byAddress, networkOf(client.address), `requests of this address: at most ${requestsPerAddress}`);
    },
    async admit(exchange, route, identity) {
      count(identity);
      if (route.action !== 'getManifest') return;
      const limit = pulls.of(identity.principal, exchange.client.address);
      // A HEAD asks where a tag stands, and how many pulls are left; it pulls nothing.
      if (limit !== undefined) await (exchange.isHead ? tell(exchange, limit) : pull(exchange, limit));
    },
  };
}

function rateLimit(perMinute: number | undefined): RateLimit | undefined {
  // No jump of the machine's clock opens or closes it.
  return perMinute === undefined ? undefined : new RateLimit({ perMinute, clock: () => performance.now() });
}

function take(limit: RateLimit, key: string, who: string): void {
  const wait = limit.wait(key);
  if (wait === 0) {
    limit.count(key);
    return;
  }
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
