import assert from 'node:assert/strict';
import { type Answer, type Client, digestOf } from '../support/inject.ts';

/** The digest of the body at a URL; `undefined`: 404. */
type State = string | undefined;

/**
 * The content that a registry may have, by the requests and answers so far. An answer settles the state of its URLs. Without one,
 * the old and the new state are possible until the next check.
 */
export class Ledger {
  readonly #possible = new Map<string, State[]>();
  /** URLs written since the last check. */
  readonly #unseen = new Set<string>();
  acknowledged = 0;
  /** The ids of acknowledged requests. */
  readonly requests = new Set<string>();
  unknown = 0;

  /**
   * Sends a request that sets each URL to its bytes, or deletes it. Returns false if the answer is 404, which only `mayBeGone`
   * allows.
   */
  async write(
    changes: Readonly<Record<string, Buffer | undefined>>,
    send: () => Promise<Answer>,
    { mayBeGone = false } = {},
  ): Promise<boolean> {
    const states = Object.entries(changes).map(([url, bytes]) => [url, bytes && digestOf(bytes)] as const);
    for (const [url, state] of states) {
      this.#possible.set(url, [...(this.#possible.get(url) ?? [undefined]), state]);
      this.#unseen.add(url);
    }
    this.unknown += 1;
    const answer = await send();
    this.unknown -= 1;
    if (mayBeGone && answer.status === 404) return false;
    assert.match(String(answer.status), /^2/, `${Object.keys(changes)[0]}: ${answer.status} ${answer.body}`);
    this.acknowledged += 1;
    // A repeated request may have its change row from an earlier attempt.
    if (!mayBeGone) this.requests.add(answer.headers['x-request-id'] as string);
    for (const [url, state] of states) this.#possible.set(url, [state]);
    return true;
  }

  /** Reads the URLs written since the last check, or all URLs, and settles their states. */
  async check(client: Client, what: 'recent' | 'everything'): Promise<void> {
    const urls = [...(what === 'recent' ? this.#unseen : this.#possible.keys())];
    for (const url of urls) {
      const possible = this.#possible.get(url)!;
      const answer = await client.get(url);
      assert.match(String(answer.status), /^(200|404)$/, url);
      const state = answer.status === 200 ? digestOf(answer.body) : undefined;
      assert.ok(possible.includes(state), `${url} holds ${state}; possible: ${possible.join(', ')}`);
      this.#possible.set(url, [state]);
    }
    this.#unseen.clear();
  }
}
