import { type Answer, digestOf } from '../support/inject.ts';
import { findImpossible, type Read, type State, something, type Write } from './register.ts';

/** A request and its outcome. */
export interface Exchange {
  readonly method: string;
  readonly url: string;
  /** `performance.now()` */
  readonly begin: number;
  readonly end: number;
  /** `undefined`: no complete answer came, so the outcome is unknown. */
  readonly status: number | undefined;
}

/** The outcome of a request is unknown: no answer, or a 5xx. It counts neither as done nor as not done. */
export class Unsettled extends Error {
  readonly exchange: Exchange;

  constructor(exchange: Exchange, cause: unknown) {
    super(`${exchange.method} ${exchange.url}: ${exchange.status ?? 'no answer'}`, { cause });
    this.name = 'Unsettled';
    this.exchange = exchange;
  }
}

interface SeenBy extends Read {
  readonly by: string;
}

interface History {
  readonly writes: Write[];
  readonly reads: SeenBy[];
}

const isTag = (url: string) => url.includes('/manifests/') && !isDigest(url);
const isDigest = (url: string) => /\/sha(256|512):\w+$/.test(url);
const directoryOf = (url: string) => url.slice(0, url.lastIndexOf('/') + 1);

/**
 * Records every request and every answer by one clock. The possible answers follow from them: each URL is a register that shows the
 * last acknowledged write, or one that was running or unanswered since.
 */
export class Ledger {
  readonly exchanges: Exchange[] = [];
  readonly #histories = new Map<string, History>();
  readonly #contents = new Map<string, Buffer>();
  readonly #problems: string[] = [];
  /** `url digest` → the number of acknowledged requests with If-Match of this digest. */
  readonly #replaced = new Map<string, number>();

  /** Reports a problem that no history of a register shows. */
  report(problem: string): void {
    this.#problems.push(problem);
  }

  /**
   * Sends a request that sets each URL to its bytes, or deletes it. A request answered with 4xx has changed nothing.
   * @throws Unsettled if the outcome is unknown
   */
  async write(
    changes: Readonly<Record<string, Buffer | undefined>>,
    send: () => Promise<Answer>,
    { replaces }: { replaces?: string } = {},
  ): Promise<Answer> {
    const begin = performance.now();
    const states = Object.entries(changes).map(([url, bytes]) => {
      if (bytes) this.#contents.set(url, bytes);
      return [url, bytes && digestOf(bytes)] as const;
    });
    let outcome: Pick<Write, 'end' | 'done'> | undefined = { end: Infinity, done: false };
    // Reads during the request may already see its state.
    const running = states.map(([url, state]) => this.#begin(url, { state, begin, ...outcome! }));
    try {
      const answer = await send();
      const isDone = answer.status >= 200 && answer.status < 300;
      outcome = isDone ? { end: performance.now(), done: true } : undefined;
      if (isDone && replaces !== undefined) this.#countReplaced(states, replaces);
      return answer;
    } finally {
      for (const settle of running) settle(outcome);
    }
  }

  /** Records an acknowledged write of another client, after which the URL holds this digest. */
  acknowledge(url: string, digest: string, { begin, end }: { begin: number; end: number }): void {
    this.#begin(url, { state: digest, begin, end, done: true });
  }

  /** Records the answer to a GET or HEAD of the URL. */
  recordRead(
    url: string,
    answer: Answer,
    request: { begin: number; by: string; range?: [number, number] },
  ): void {
    const { begin, by, range } = request;
    const state = this.#stateOf(url, answer, by, range);
    if (state === 'unclear') return;
    const read = { saw: state, begin, end: performance.now(), by };
    this.#historyOf(url).reads.push(read);
    // The manifest that a tag names has to exist.
    if (isTag(url) && state !== undefined) this.#historyOf(directoryOf(url) + state).reads.push(read);
  }

  /** Records a whole list: each name below the directory (`/v2/app/manifests/`) holds something, or nothing. */
  recordList(
    directory: string,
    names: readonly string[],
    { begin, by }: { begin: number; by: string },
  ): void {
    const end = performance.now();
    const listed = new Set(names.map((name) => directory + name));
    const known = [...this.#histories.keys()].filter((url) => isTag(url) && directoryOf(url) === directory);
    for (const url of new Set([...known, ...listed])) {
      this.#historyOf(url).reads.push({ saw: listed.has(url) ? something : undefined, begin, end, by });
    }
  }

  /** Every URL that was written at that time (`performance.now()`) or later. */
  urls(from = 0): string[] {
    const written = ({ writes }: History) => writes.some(({ begin }) => begin >= from);
    return [...this.#histories].filter(([, history]) => written(history)).map(([url]) => url);
  }

  /** The bytes last pushed to the URL. */
  content(url: string): Buffer | undefined {
    return this.#contents.get(url);
  }

  /** The numbers of acknowledged and unanswered writes, and of reads. */
  count(): { acknowledged: number; unanswered: number; reads: number } {
    const histories = [...this.#histories.values()];
    const writes = histories.flatMap((history) => history.writes);
    return {
      acknowledged: writes.filter(({ done }) => done).length,
      unanswered: writes.filter(({ end }) => end === Infinity).length,
      reads: histories.reduce((sum, { reads }) => sum + reads.length, 0),
    };
  }

  /** A sentence for each observation that is impossible with a correct registry. */
  problems(): string[] {
    const impossible = [...this.#histories].flatMap(([url, { writes, reads }]) =>
      findImpossible(writes, reads).map((read) => describeRead(url, read, writes)),
    );
    const twice = [...this.#replaced]
      .filter(([, count]) => count > 1)
      .map(([what, count]) => `${what} was replaced ${count} times by If-Match: an update was lost`);
    const bugs = this.exchanges
      .filter(({ status }) => status === 500)
      .map(({ method, url }) => `${method} ${url}: 500: an unexpected error in Berth`);
    return [...this.#problems, ...impossible, ...twice, ...bugs];
  }

  /** Adds a write with unknown outcome; the returned function sets its outcome. */
  #begin(url: string, write: Write): (outcome: Pick<Write, 'end' | 'done'> | undefined) => void {
    const deletesTags = write.state === undefined && isDigest(url) ? this.#tagsOn(url) : [];
    const all = [
      { history: this.#historyOf(url), write },
      // Deleting a manifest also deletes each tag that names it then.
      ...deletesTags.map((history) => ({ history, write: { ...write, done: false } })),
    ];
    for (const { history, write } of all) history.writes.push(write);
    return (outcome) => {
      for (const [index, { history, write }] of all.entries()) {
        const at = history.writes.indexOf(write);
        if (outcome === undefined) history.writes.splice(at, 1);
        else history.writes[at] = { ...write, end: outcome.end, done: outcome.done && index === 0 };
      }
    };
  }

  #tagsOn(manifest: string): History[] {
    const digest = manifest.slice(manifest.lastIndexOf('/') + 1);
    return [...this.#histories]
      .filter(([url]) => isTag(url) && directoryOf(url) === directoryOf(manifest))
      .map(([, history]) => history)
      .filter(({ writes }) => writes.some(({ state }) => state === digest));
  }

  #historyOf(url: string): History {
    let history = this.#histories.get(url);
    if (history === undefined) {
      history = { writes: [], reads: [] };
      this.#histories.set(url, history);
    }
    return history;
  }

  #stateOf(url: string, answer: Answer, by: string, range?: [number, number]): State | 'unclear' {
    switch (answer.status) {
      case 200:
        return answer.body.length > 0 ? digestOf(answer.body) : answer.headers['docker-content-digest'];
      case 206: {
        const content = this.#contents.get(url);
        const [first, last] = range ?? [0, 0];
        if (content?.subarray(first, last + 1).equals(answer.body)) return digestOf(content);
        this.report(`${by}: bytes ${first}-${last} of ${url} are not those that were pushed`);
        return 'unclear';
      }
      case 404:
        return undefined;
      default:
        this.report(`${by}: a read of ${url} was answered ${answer.status} ${answer.body}`);
        return 'unclear';
    }
  }

  #countReplaced(states: readonly (readonly [string, State])[], replaced: string): void {
    for (const [url] of states.filter(([url]) => isTag(url))) {
      const key = `${url} ${replaced}`;
      // A digest that was written more than once can be replaced more than once.
      if (this.#historyOf(url).writes.filter(({ state }) => state === replaced).length > 1) continue;
      this.#replaced.set(key, (this.#replaced.get(key) ?? 0) + 1);
    }
  }
}

function describeRead(url: string, { saw, begin, end, by }: SeenBy, writes: readonly Write[]): string {
  const time = (at: number) => (Number.isFinite(at) ? at.toFixed(0) : '…');
  const shown = (state: Read['saw']) => (state === undefined ? 'nothing' : String(state));
  const history = writes.map(
    (write) =>
      `${time(write.begin)}–${time(write.end)} ${shown(write.state)}${write.done ? '' : ' (perhaps)'}`,
  );
  return `${by}: ${url} held ${shown(saw)} at ${time(begin)}–${time(end)}; written: ${history.join(', ') || 'never'}`;
}
