// The public keys of issuers, fetched when they are first needed and kept for a while.
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { boundedFetch, FetchRefused, isTrustworthy } from '../../outbound/bounded-fetch.ts';

/** An issuer's keys cannot be had now. The message is for logs and administrators. */
export class KeysUnavailable extends Error {
  override readonly name = 'KeysUnavailable';
  /** Seconds until they are asked for again. */
  readonly retryAfter: number;

  constructor(message: string, options: { readonly cause: unknown; readonly retryAfter: number }) {
    super(message, options);
    this.retryAfter = options.retryAfter;
  }
}

const maxKeys = 100;
const maxIssuers = 500;

/** Milliseconds. */
const times = {
  /** Between two fetches from one issuer, whatever its tokens say and however the first one ended. */
  pause: 60_000,
  /** After which keys are fetched again before they are used: one that the issuer took back is good for no longer. */
  fresh: 10 * 60_000,
  /** For which keys serve while the issuer cannot be reached. */
  stale: 24 * 3_600_000,
};

interface Entry {
  readonly issuer: string;
  keys: JWTVerifyGetKey | undefined;
  fetchedAt: number;
  triedAt: number;
  failure: unknown;
  loading: Promise<void> | undefined;
}

/**
 * The key sets of issuers, by their discovery documents. Ask only for issuers that an administrator has named: each costs a
 * connection to where the name says.
 */
export class KeySets {
  readonly #entries = new Map<string, Entry>();
  readonly #clock: () => number;

  /** @param clock milliseconds, which only go forward */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  /** How a token of the issuer finds its key. What it returns throws KeysUnavailable, or jose's errors about the token. */
  of(issuer: string): JWTVerifyGetKey {
    return async (header, token) => {
      const known = await this.#keys(issuer);
      try {
        return await known(header, token);
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
        // Perhaps a key that is newer than what is known.
        const newer = await this.#keys(issuer, { not: known });
        return newer(header, token);
      }
    };
  }

  async #keys(issuer: string, unwanted?: { not: JWTVerifyGetKey }): Promise<JWTVerifyGetKey> {
    const entry = this.#entryOf(issuer);
    const now = this.#clock();
    const old = now - entry.fetchedAt >= times.fresh;
    if (old || entry.keys === unwanted?.not) {
      if (now - entry.triedAt >= times.pause) entry.loading ??= this.#load(entry, now);
      await entry.loading;
    }
    const good = now - entry.fetchedAt < times.stale ? entry.keys : undefined;
    if (good !== undefined) return good;
    throw new KeysUnavailable(`the keys of ${issuer} cannot be had: ${messageOf(entry.failure)}`, {
      cause: entry.failure,
      retryAfter: Math.max(1, Math.ceil((entry.triedAt + times.pause - this.#clock()) / 1000)),
    });
  }

  #entryOf(issuer: string): Entry {
    const never = Number.NEGATIVE_INFINITY;
    const entry = this.#entries.get(issuer) ?? {
      issuer,
      keys: undefined,
      fetchedAt: never,
      triedAt: never,
      failure: undefined,
      loading: undefined,
    };
    // The last one asked for is the last in the map.
    this.#entries.delete(issuer);
    this.#entries.set(issuer, entry);
    if (this.#entries.size > maxIssuers) this.#entries.delete(this.#entries.keys().next().value as string);
    return entry;
  }

  async #load(entry: Entry, now: number): Promise<void> {
    entry.triedAt = now;
    try {
      entry.keys = createLocalJWKSet(await fetchKeySet(entry.issuer));
      entry.fetchedAt = now;
    } catch (error) {
      entry.failure = error;
    } finally {
      entry.loading = undefined;
    }
  }
}

/** OpenID Connect Discovery 1.0, section 4. */
async function fetchKeySet(issuer: string): Promise<JSONWebKeySet> {
  const discovery = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const metadata = (await fetchJson(discovery)) as { issuer?: unknown; jwks_uri?: unknown } | null;
  // 4.3: the value MUST be identical to the one that the document was found by.
  if (metadata?.issuer !== issuer) throw new FetchRefused(`${discovery} is of another issuer`);
  const { jwks_uri: uri } = metadata;
  const url = typeof uri === 'string' ? URL.parse(uri) : null;
  if (url === null) throw new FetchRefused(`${discovery} has no jwks_uri`);
  // Who is elsewhere has no business with this machine's own ports.
  if (!isTrustworthy(url) || (url.protocol === 'http:' && !issuer.startsWith('http:'))) {
    throw new FetchRefused(`${discovery} has a jwks_uri that is not https`);
  }
  return asKeySet(await fetchJson(url.href));
}

async function fetchJson(url: string): Promise<unknown> {
  const response = await boundedFetch(url, { headers: { accept: 'application/json' } });
  if (response.status !== 200) throw new FetchRefused(`${url} answers ${response.status}`);
  return response.json().catch(() => {
    throw new FetchRefused(`${url} is not JSON`);
  });
}

/** The JSON Web Key Set that a document is. @throws FetchRefused when it is none, or a very large one */
export function asKeySet(document: unknown): JSONWebKeySet {
  const keys = (document as { keys?: unknown } | null)?.keys;
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === 'object' && key !== null)) {
    throw new FetchRefused('this is no JSON Web Key Set: an object with a list "keys" of keys');
  }
  if (keys.length > maxKeys) throw new FetchRefused(`the key set has more than ${maxKeys} keys`);
  return document as JSONWebKeySet;
}

/** `fetch` says why in the cause of its error. */
function messageOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
}
