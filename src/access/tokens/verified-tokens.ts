import { type BearerToken, clockLeeway } from './token-verifier.ts';

/** A token whose signature was checked, and by which key. */
export interface Verified {
  readonly bearer: BearerToken;
  readonly key: string;
}

/** Characters of all the tokens that are remembered. */
const maxCharacters = 16 << 20;
/** What an entry costs beyond its token, roughly. */
const overhead = 1_024;

/**
 * Tokens whose signatures need no second look: the same one comes with each request of a pull. Those that were not used for
 * longest go first. Whether the key still counts is for the caller to ask.
 */
export class VerifiedTokens {
  readonly #entries = new Map<string, Verified>();
  #characters = 0;

  /** Nothing when the token has ended by `now`. */
  get(token: string, now: number): Verified | undefined {
    const entry = this.#entries.get(token);
    if (entry === undefined) return undefined;
    if (now >= entry.bearer.expires + clockLeeway * 1000) {
      this.delete(token);
      return undefined;
    }
    if (this.#characters > maxCharacters / 2) {
      // Only a cache that may have to evict needs the order kept.
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
