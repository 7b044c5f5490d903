import { LRUCache } from 'lru-cache';
import { type BearerToken, clockLeeway } from './token-verifier.ts';

/** A token with a verified signature, and the key's id. */
export interface Verified {
  readonly bearer: BearerToken;
  readonly key: string;
}

/** Total characters of the cached tokens. */
const maxCharacters = 16 << 20;
/** Approximate size of an entry beside its token. */
const overhead = 1_024;

/**
 * Caches tokens with a verified signature, because each request of a pull sends the same one. Evicts the least recently used. The
 * caller checks that the key is still valid.
 */
export class VerifiedTokens {
  readonly #entries = new LRUCache<string, Verified>({
    maxSize: maxCharacters,
    sizeCalculation: (_entry, token) => token.length + overhead,
  });

  /** `undefined` if the token has ended by `now`. */
  get(token: string, now: number): Verified | undefined {
    const entry = this.#entries.get(token);
    if (entry === undefined || now < entry.bearer.expires + clockLeeway * 1000) return entry;
    this.#entries.delete(token);
    return undefined;
  }

  set(token: string, entry: Verified): void {
    this.#entries.set(token, entry);
  }
}
