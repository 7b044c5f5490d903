/** What one process asks another: the numbers and states of its own, or of all. */
export type Question = 'metrics' | 'ready';

/** What goes over the line, in both directions. */
export type Said =
  | { readonly type: 'ask'; readonly call: number; readonly question: Question }
  | { readonly type: 'answer'; readonly call: number; readonly answer?: unknown; readonly error?: string };

/** Milliseconds to wait for an answer; Prometheus waits for ten seconds. */
const patience = 5_000;

/** Questions and answers over a channel that carries messages. */
export class Channel {
  readonly #send: (said: Said) => void;
  readonly #answer: (question: Question) => Promise<unknown>;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #calls = 0;

  /** @param answer what the other side hears when it asks; why it rejects is told in one sentence */
  constructor(send: (said: Said) => void, answer: (question: Question) => Promise<unknown>) {
    this.#send = send;
    this.#answer = answer;
  }

  /** @throws Error with what the other side says is wrong, or that it says nothing */
  async ask(question: Question): Promise<unknown> {
    const call = ++this.#calls;
    const waiting = Promise.withResolvers<unknown>();
    const limit = setTimeout(() => waiting.reject(new Error(`no answer in ${patience} ms`)), patience);
    this.#waiting.set(call, waiting);
    try {
      this.#send({ type: 'ask', call, question });
      return await waiting.promise;
    } finally {
      clearTimeout(limit);
      this.#waiting.delete(call);
    }
  }

  /** Takes in what the other side said. */
  async hear(said: Said): Promise<void> {
    const { call } = said;
    if (said.type === 'answer') {
      const waiting = this.#waiting.get(call);
      if (said.error === undefined) waiting?.resolve(said.answer);
      else waiting?.reject(new Error(said.error));
      return;
    }
    try {
      this.#send({ type: 'answer', call, answer: await this.#answer(said.question) });
    } catch (error) {
      this.#send({ type: 'answer', call, error: (error as Error).message });
    }
  }

  /** Nobody answers any more. */
  hangUp(reason: string): void {
    for (const waiting of this.#waiting.values()) waiting.reject(new Error(reason));
  }
}
