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
  readonly #entries = new Map<string, Verified>();
  #characters = 0;

  /** `undefined` if the token has ended by `now`. */
  get(token: string, now: number): Verified | undefined {
    const entry = this.#entries.get(token);
    if (entry === undefined) return undefined;
    if (now >= entry.bearer.expires + clockLeeway * 1000) {
      this.delete(token);
      return undefined;
    }
    if (this.#characters > maxCharacters / 2) {
      // Only a cache that may have to evict needs the order of use.
      this.#entries.delete(token);
      this.#entries.set(token, entry);
    }
    return entry;
  }

  set(token: string, entry: Verified): void {
    this.delete(token);
    this.#entries.set(token, entry);
    this.#characters += token.length + overhead;
    for (const oldest of this.#entries.keys()) {
      if (this.#characters <= maxCharacters) return;
      this.delete(oldest);
    }
  }

  delete(token: string): void {
    if (this.#entries.delete(token)) this.#characters -= token.length + overhead;
  }
}
