import assert from 'node:assert/strict';
import { type Answer, type Client, digestOf } from '../support/inject.ts';

/** What a URL may answer: a body of this digest, or 404. */
type State = string | undefined;

/**
 * What a registry may hold, by all that was sent and answered. An answer settles what its request changed; without one, the
 * request may have been done or not, until somebody looks.
 */
export class Ledger {
  readonly #possible = new Map<string, State[]>();
  /** What was written since the last look. */
  readonly #unseen = new Set<string>();
  acknowledged = 0;
  /** The ids of acknowledged requests. */
  readonly requests = new Set<string>();
  unknown = 0;

  /**
   * Sends a request that makes each URL hold its bytes, or nothing; false when it was refused with 404, which only `mayBeGone`
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
    // One that may have been sent before has its row from that time.
    if (!mayBeGone) this.requests.add(answer.headers['x-request-id'] as string);
    for (const [url, state] of states) this.#possible.set(url, [state]);
    return true;
  }

  /** Looks at what was written since the last look, or at everything; what is seen is settled. */
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
