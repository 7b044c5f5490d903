// Fetches the public keys of issuers when first needed, and caches them.
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { LRUCache } from 'lru-cache';
import { boundedFetch, FetchRefused, isTrustworthy } from '../../outbound/bounded-fetch.ts';

/** An issuer's keys cannot be fetched now. The message is for logs and administrators. */
export class KeysUnavailable extends Error {
  override readonly name = 'KeysUnavailable';
  /** Seconds until the next fetch. */
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
  /** Minimum between two fetches from one issuer, even after a failure or for an unknown key id. */
  pause: 60_000,
  /** Age at which keys are fetched again before use, so that a key that the issuer removed is no longer accepted. */
  fresh: 10 * 60_000,
  /** Age up to which keys are used while the issuer is unreachable. */
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

function newEntry(issuer: string): Entry {
  const never = Number.NEGATIVE_INFINITY;
  return {
    issuer,
    keys: undefined,
    fetchedAt: never,
    triedAt: never,
    failure: undefined,
    loading: undefined,
  };
}

/**
 * Caches the key sets of issuers, which it finds by their discovery documents. Only for issuers that an administrator configured,
 * as each causes a connection to the issuer's host.
 */
export class KeySets {
  readonly #entries = new LRUCache<string, Entry>({ max: maxIssuers, memoMethod: newEntry });
  readonly #clock: () => number;

  /** @param clock milliseconds, monotonic */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  /** Gives the key lookup for the issuer's tokens. It throws KeysUnavailable, or jose's errors about the token. */
  of(issuer: string): JWTVerifyGetKey {
    return async (header, token) => {
      const known = await this.#keys(issuer);
      try {
        return await known(header, token);
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
        // The token may be signed with a newer key.
        const newer = await this.#keys(issuer, { not: known });
        return newer(header, token);
      }
    };
  }

  async #keys(issuer: string, unwanted?: { not: JWTVerifyGetKey }): Promise<JWTVerifyGetKey> {
    const entry = this.#entries.memo(issuer);
    const now = this.#clock();
    const old = now - entry.fetchedAt >= times.fresh;
    if (old || entry.keys === unwanted?.not) {
      if (now - entry.triedAt >= times.pause) entry.loading ??= this.#load(entry, now);
      await entry.loading;
    }
    const good = now - entry.fetchedAt < times.stale ? entry.keys : undefined;
    if (good !== undefined) return good;
    throw new KeysUnavailable(`cannot fetch the keys of ${issuer}: ${messageOf(entry.failure)}`, {
      cause: entry.failure,
      retryAfter: Math.max(1, Math.ceil((entry.triedAt + times.pause - this.#clock()) / 1000)),
    });
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
  // 4.3: the issuer MUST be identical to the URL that the document was found by.
  if (metadata?.issuer !== issuer) throw new FetchRefused(`${discovery} names another issuer`);
  const { jwks_uri: uri } = metadata;
  const url = typeof uri === 'string' ? URL.parse(uri) : null;
  if (url === null) throw new FetchRefused(`${discovery} has no jwks_uri`);
  // An issuer on another host must not make Berth connect to ports of this machine.
  if (!isTrustworthy(url) || (url.protocol === 'http:' && !issuer.startsWith('http:'))) {
    throw new FetchRefused(`${discovery} has a jwks_uri without https`);
  }
  return asKeySet(await fetchJson(url.href));
}

async function fetchJson(url: string): Promise<unknown> {
  const response = await boundedFetch(url, { headers: { accept: 'application/json' } });
  if (response.status !== 200) throw new FetchRefused(`${url} answered ${response.status}`);
  return response.json().catch(() => {
    throw new FetchRefused(`${url} is not JSON`);
  });
}

/** Parses a JSON Web Key Set. @throws FetchRefused if the document is not a key set, or has too many keys */
export function asKeySet(document: unknown): JSONWebKeySet {
  const keys = (document as { keys?: unknown } | null)?.keys;
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === 'object' && key !== null)) {
    throw new FetchRefused('not a JSON Web Key Set: expected an object with a list "keys"');
  }
  if (keys.length > maxKeys) throw new FetchRefused(`the key set has more than ${maxKeys} keys`);
  return document as JSONWebKeySet;
}

/** Adds the message of the cause, which has the reason of a failed `fetch`. */
function messageOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
}
