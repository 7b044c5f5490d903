import { setTimeout as delay } from 'node:timers/promises';
import type { Answer, Client } from '../support/inject.ts';
import { type Ledger, Unsettled } from './ledger.ts';

/** Milliseconds between two attempts of a client. */
const pause = 200;

/** The registry did not recover: a client gave up. */
class GaveUp extends Error {
  override readonly name = 'GaveUp';
}

/** A client that repeats requests until their outcome is known, and records it in the ledger. */
export class RetryingClient {
  readonly name: string;
  readonly client: Client;
  readonly ledger: Ledger;
  readonly #patience: number;

  /** `patience`: milliseconds after which it gives up. */
  constructor(name: string, client: Client, ledger: Ledger, patience = 60_000) {
    this.name = name;
    this.client = client;
    this.ledger = ledger;
    this.#patience = patience;
  }

  /** Repeats `action` while its outcome is unknown. */
  async untilSettled<T>(action: () => Promise<T>): Promise<T> {
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

  /** Repeats a write until its outcome is known; returns the last answer. */
  write(changes: Readonly<Record<string, Buffer | undefined>>, send: () => Promise<Answer>): Promise<Answer> {
    return this.untilSettled(() => this.ledger.write(changes, send));
  }

  /** Repeats a write that has to succeed; any other outcome is a problem. */
  async mustWrite(
    changes: Readonly<Record<string, Buffer | undefined>>,
    send: () => Promise<Answer>,
  ): Promise<void> {
    const { status, body } = await this.write(changes, send);
    if (status >= 300) this.ledger.report(`${this.name}: ${Object.keys(changes)[0]}: ${status} ${body}`);
  }

  /** Reads the whole content, or a range of it. */
  async read(url: string, range?: [number, number]): Promise<Answer> {
    return this.untilSettled(async () => {
      const begin = performance.now();
      const answer = await this.client.get(url, range && { range: `bytes=${range[0]}-${range[1]}` });
      this.ledger.recordRead(url, answer, { begin, by: this.name, ...(range && { range }) });
      return answer;
    });
  }

  async head(url: string): Promise<void> {
    await this.untilSettled(async () => {
      const begin = performance.now();
      this.ledger.recordRead(url, await this.client.head(url), { begin, by: this.name });
    });
  }

  async listTags(repository: string): Promise<void> {
    await this.untilSettled(async () => {
      const begin = performance.now();
      const answer = await this.client.get(`/v2/${repository}/tags/list?n=10000`);
      const tags = answer.status === 404 ? [] : answer.json<{ tags: string[] }>().tags;
      this.ledger.recordList(`/v2/${repository}/manifests/`, tags, { begin, by: this.name });
    });
  }
}
