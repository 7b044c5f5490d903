/** A request to another process: for its metrics or readiness, or those of all processes. */
export type Question = 'metrics' | 'ready';

/** A message in either direction. */
export type Message =
  | { readonly type: 'ask'; readonly call: number; readonly question: Question }
  | { readonly type: 'answer'; readonly call: number; readonly answer?: unknown; readonly error?: string };

/** Milliseconds to wait for an answer; Prometheus waits ten seconds. */
const answerTimeout = 5_000;

/** Asks and answers questions between two processes that exchange messages. */
export class Channel {
  readonly #send: (message: Message) => void;
  readonly #answer: (question: Question) => Promise<unknown>;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #calls = 0;

  /** @param answer answers the other side's questions; when it rejects, the error's message is sent */
  constructor(send: (message: Message) => void, answer: (question: Question) => Promise<unknown>) {
    this.#send = send;
    this.#answer = answer;
  }

  /** @throws Error with the other side's error message, or when it does not answer in time */
  async ask(question: Question): Promise<unknown> {
    const call = ++this.#calls;
    const waiting = Promise.withResolvers<unknown>();
    const limit = setTimeout(
      () => waiting.reject(new Error(`no answer in ${answerTimeout} ms`)),
      answerTimeout,
    );
    this.#waiting.set(call, waiting);
    try {
      this.#send({ type: 'ask', call, question });
      return await waiting.promise;
    } finally {
      clearTimeout(limit);
      this.#waiting.delete(call);
    }
  }

  /** Handles a message from the other side. */
  async receive(message: Message): Promise<void> {
    const { call } = message;
    if (message.type === 'answer') {
      const waiting = this.#waiting.get(call);
      if (message.error === undefined) waiting?.resolve(message.answer);
      else waiting?.reject(new Error(message.error));
      return;
    }
    try {
      this.#send({ type: 'answer', call, answer: await this.#answer(message.question) });
    } catch (error) {
      this.#send({ type: 'answer', call, error: (error as Error).message });
    }
  }

  /** Rejects all pending questions. */
  close(reason: string): void {
    for (const waiting of this.#waiting.values()) waiting.reject(new Error(reason));
  }
}
