import { setTimeout as delay } from 'node:timers/promises';
import type { Answer, Client } from '../support/inject.ts';
import { type Ledger, Unsettled } from './ledger.ts';

/** Milliseconds between two attempts of a client that was not answered. */
const pause = 200;

/** The registry did not recover: a client gave up. */
class GaveUp extends Error {
  override readonly name = 'GaveUp';
}

/** A client that keeps trying until it is answered, and tells the ledger all it sees. */
export class Visitor {
  readonly name: string;
  readonly client: Client;
  readonly ledger: Ledger;
  readonly #patience: number;

  /** `patience`: milliseconds after which it does not try again. */
  constructor(name: string, client: Client, ledger: Ledger, patience = 60_000) {
    this.name = name;
    this.client = client;
    this.ledger = ledger;
    this.#patience = patience;
  }

  /** Repeats `action` while nobody knows whether it was done. */
  async settled<T>(action: () => Promise<T>): Promise<T> {
    const giveUpAt = performance.now() + this.#patience;
    for (;;) {
      try {
        return await action();
      } catch (error) {
        if (!(error instanceof Unsettled)) throw error;
        if (performance.now() > giveUpAt)
          throw new GaveUp(`${this.name}: ${error.message}`, { cause: error });
        await delay(pause);
      }
    }
  }

  /** Writes until it is known to be done, and says what the last attempt was told. */
  write(changes: Readonly<Record<string, Buffer | undefined>>, send: () => Promise<Answer>): Promise<Answer> {
    return this.settled(() => this.ledger.write(changes, send));
  }

  /** A write that nothing stands against. */
  async mustWrite(
    changes: Readonly<Record<string, Buffer | undefined>>,
    send: () => Promise<Answer>,
  ): Promise<void> {
    const { status, body } = await this.write(changes, send);
    if (status >= 300) this.ledger.report(`${this.name}: ${Object.keys(changes)[0]}: ${status} ${body}`);
  }

  /** Reads all of it, or a range. */
  async look(url: string, range?: [number, number]): Promise<Answer> {
    return this.settled(async () => {
      const begin = performance.now();
      const answer = await this.client.get(url, range && { range: `bytes=${range[0]}-${range[1]}` });
      this.ledger.saw(url, answer, { begin, by: this.name, ...(range && { range }) });
      return answer;
    });
  }

  async glance(url: string): Promise<void> {
    await this.settled(async () => {
      const begin = performance.now();
      this.ledger.saw(url, await this.client.head(url), { begin, by: this.name });
    });
  }

  async listTags(repository: string): Promise<void> {
    await this.settled(async () => {
      const begin = performance.now();
      const answer = await this.client.get(`/v2/${repository}/tags/list?n=10000`);
      const tags = answer.status === 404 ? [] : answer.json<{ tags: string[] }>().tags;
      this.ledger.sawList(`/v2/${repository}/manifests/`, tags, { begin, by: this.name });
    });
  }
}
