// What a browser keeps between leaving for the sign-on provider and coming back: nobody else's answer fits it, and nobody else can
// make it. Only with it, and once, does a callback cause a request to the provider.
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
/** Milliseconds: to log in at the provider, with a second factor that has to be looked for. */
const lifetime = 600_000;
/** How many attempts that came back are told apart from new ones. */
const remembered = 10_000;
/** How many callbacks are at the provider at a time; others wait their turn. */
const atOnce = 8;

const form = z.object({
  state: z.string(),
  nonce: z.string(),
  verifier: z.string(),
  to: z.string(),
  link: z.string().optional(),
});

export interface KeptAttempt extends Attempt {
  /** Where to go in the end. */
  readonly to: string;
  /** The form token of the session whose user gets the identity (see access/login/sessions.ts); absent: it signs somebody in. */
  readonly link?: string | undefined;
}

export interface AttemptsParts {
  readonly tokens: Pick<BearerTokens, 'seal' | 'unseal'>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** How many callbacks from an address may be refused by the provider in a minute. */
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
   * The attempt that the callback ends. In this process it is good once; the provider takes a code once as well.
   *
   * @throws NoAttempt when this browser has begun none, or too long ago; NotSignedOn when the callback answers another
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
   * Asks the provider, in turn with callbacks from elsewhere.
   *
   * @throws RegistryError `TOOMANYREQUESTS` after too many that the provider refused, `UNAVAILABLE` when too many wait; what `ask` throws
   */
  async finish<T>(address: string, ask: () => Promise<T>): Promise<T> {
    const network = networkOf(address);
    return this.#queue.run(network, async () => {
      const retryAfter = this.#failures.wait(network);
      if (retryAfter > 0) throw new RegistryError('TOOMANYREQUESTS', 'too many sign-ons', { retryAfter });
      try {
        return await ask();
      } catch (error) {
        this.#failures.count(network);
        throw error;
      }
    });
  }
}
