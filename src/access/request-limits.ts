import { RegistryError } from '../oci/errors.ts';
import { type Identity, principalKey } from './identity.ts';
import { networkOf } from './network-of.ts';
import { RateLimit } from './rate-limit.ts';

/** Limits the requests of a network and of an account in a minute. */
export class RequestLimits {
  readonly #perAddress: number | undefined;
  readonly #perUser: number | undefined;
  readonly #byAddress: RateLimit | undefined;
  readonly #byUser: RateLimit | undefined;

  /** @param limits requests a minute; `undefined`: no limit */
  constructor(limits: { perAddress: number | undefined; perUser: number | undefined }) {
    this.#perAddress = limits.perAddress;
    this.#perUser = limits.perUser;
    this.#byAddress = rateLimit(limits.perAddress);
    this.#byUser = rateLimit(limits.perUser);
  }

  /** Counts a request of any caller; called before all other work. @throws RegistryError `TOOMANYREQUESTS` */
  countByAddress({ client }: { readonly client: { readonly address: string } }): void {
    const limit = `too many requests from this address: at most ${this.#perAddress}`;
    if (this.#byAddress) take(this.#byAddress, networkOf(client.address), limit);
  }

  /** Counts a request of an authenticated caller. @throws RegistryError `TOOMANYREQUESTS` */
  countByUser({ principal }: Identity): void {
    if (this.#byUser === undefined || principal.kind === 'anonymous') return;
    take(
      this.#byUser,
      principalKey(principal),
      `too many requests by ${principal.name}: at most ${this.#perUser}`,
    );
  }
}

function rateLimit(perMinute: number | undefined): RateLimit | undefined {
  // Not affected by changes of the system clock.
  return perMinute === undefined ? undefined : new RateLimit({ perMinute, clock: () => performance.now() });
}

function take(limit: RateLimit, key: string, what: string): void {
  const wait = limit.wait(key);
  if (wait > 0) throw new RegistryError('TOOMANYREQUESTS', `${what} in a minute`, { retryAfter: wait });
  limit.count(key);
}
