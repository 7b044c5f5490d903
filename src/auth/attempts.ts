// Sign-on attempts: a sealed cookie that ties the provider's callback to the browser that began the sign-on. Each cookie permits
// one callback to query the provider.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { HashQueue } from '../access/login/hash-queue.ts';
import { Remembered } from '../access/login/remembered.ts';
import { networkOf } from '../access/network-of.ts';
import { RateLimit } from '../access/rate-limit.ts';
import type { BearerTokens } from '../access/tokens/bearer.ts';
import { RegistryError } from '../oci/errors.ts';
import { readCookie, setCookie } from './cookies.ts';
import type { Attempt } from './provider.ts';
import { NoAttempt, NotSignedOn } from './provider-errors.ts';

const name = 'berth-sign-on';
/** Milliseconds for the login at the provider, with a second factor. */
const lifetime = 600_000;
/** The number of used attempts to remember. */
const remembered = 10_000;
/** The number of callbacks that query the provider at once; others wait. */
const atOnce = 8;

const form = z.object({
  state: z.string(),
  nonce: z.string(),
  verifier: z.string(),
  to: z.string(),
  link: z.string().optional(),
});

export interface KeptAttempt extends Attempt {
  /** The path to return to. */
  readonly to: string;
  /** The form token of the session whose user links the identity (see access/login/sessions.ts); absent: a sign-in. */
  readonly link?: string | undefined;
}

export interface AttemptsParts {
  readonly tokens: Pick<BearerTokens, 'seal' | 'unseal'>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** The number of callbacks from an address that the provider may refuse in a minute. */
  readonly perAddress: number;
}

export class Attempts {
  readonly #tokens: AttemptsParts['tokens'];
  readonly #used: Remembered;
  readonly #failures: RateLimit;
  readonly #queue = new HashQueue({ atOnce });

  constructor({ tokens, clock, perAddress }: AttemptsParts) {
    this.#tokens = tokens;
    this.#used = new Remembered({ clock, keepFor: lifetime, capacity: remembered });
    this.#failures = new RateLimit({ perMinute: perAddress, clock });
  }

  async keep(reply: FastifyReply, attempt: KeptAttempt, secure: boolean): Promise<void> {
    const value = await this.#tokens.seal({ ...attempt }, lifetime);
    setCookie(reply, { name, value, maxAge: lifetime / 1000, secure });
  }

  /**
   * Takes the attempt that the callback completes. It is valid once in this process; the provider accepts a code once too.
   *
   * @throws NoAttempt when this browser has no attempt, or an expired one; NotSignedOn when the callback is for another attempt
   */
  async take(request: FastifyRequest, reply: FastifyReply, secure: boolean): Promise<KeptAttempt> {
    const value = readCookie(request, name, secure);
    if (value === undefined) throw new NoAttempt();
    setCookie(reply, { name, value: '', maxAge: 0, secure });
    const { data: attempt } = form.safeParse(await this.#tokens.unseal(value));
    if (attempt === undefined || this.#used.has(attempt.state)) throw new NoAttempt();
    const query = new URLSearchParams(request.url.split('?', 2)[1]);
    if (query.get('state') !== attempt.state) throw new NotSignedOn(undefined);
    this.#used.add(attempt.state);
    return attempt;
  }

  /**
   * Queries the provider with `ask`; callbacks of different networks take turns.
   *
   * @throws RegistryError `TOOMANYREQUESTS` after too many refusals by the provider, `UNAVAILABLE` when too many callbacks wait;
   *   errors of `ask`
   */
  async finish<T>(address: string, ask: () => Promise<T>): Promise<T> {
    const network = networkOf(address);
    return this.#queue.run(network, async () => {
      const retryAfter = this.#failures.wait(network);
      if (retryAfter > 0)
        throw new RegistryError('TOOMANYREQUESTS', 'too many failed sign-ons', { retryAfter });
      try {
        return await ask();
      } catch (error) {
        this.#failures.count(network);
        throw error;
      }
    });
  }
}
