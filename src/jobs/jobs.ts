import type { Clock } from '../core/clock.ts';
import type { Database } from '../db/database.ts';
import { giveBackLease, renewLease, takeLease } from '../db/leases.ts';
import type { Db } from '../db/prepare.ts';

/** Background work. It may be ended anywhere, and is told so by the signal. */
export type Run = (signal: AbortSignal) => Promise<void>;

/** How a run ended: `lost` when another process has taken the lease over, `stopped` when this one ends. */
export type Outcome = 'succeeded' | 'failed' | 'lost' | 'stopped';

/** Whoever wants to know what the jobs do here. */
export interface JobObserver {
  planned(job: string): void;
  started(job: string): void;
  ended(job: string, outcome: Outcome, seconds: number, error?: unknown): void;
  /** The database did not say whose the lease is; it is asked again. */
  leaseFailed(job: string, error: unknown): void;
}

export interface JobTimes {
  /** Milliseconds after which what a dead process was doing is another's. */
  readonly lease: number;
  /** Milliseconds between two looks at whether a job is due. */
  readonly look: number;
}

/** A process that dies is followed by another within 50 seconds. */
const usualTimes: JobTimes = { lease: 30_000, look: 15_000 };

export interface JobsParts {
  readonly database: Database;
  /** The database's, so that all processes mean the same by now. */
  readonly clock: Clock;
  /** This process and no other, ever. */
  readonly holder: string;
  readonly observer: JobObserver;
  readonly times?: JobTimes;
}

/**
 * Background work that any process may do and one at a time does: whoever holds the job's lease in the database. A process
 * that sleeps through its lease may go on for a moment beside its successor, so a job is safe to run twice.
 */
export class Jobs {
  readonly #parts: JobsParts;
  readonly #times: JobTimes;
  readonly #stopped = new AbortController();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #running = new Set<Promise<void>>();

  constructor(parts: JobsParts) {
    this.#parts = parts;
    this.#times = parts.times ?? usualTimes;
  }

  /**
   * Runs the job `interval` milliseconds after its last run ended, in whichever process that was; at once when it has never run,
   * or when the process that ran it died or stopped in the middle. A run that fails is reported and the next one comes all the
   * same.
   */
  every(job: string, interval: number, run: Run): void {
    this.#parts.observer.planned(job);
    this.#plan(job, interval, run);
  }

  /** Ends what runs, and leaves it to the other processes. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    await Promise.all(this.#running);
  }

  #plan(job: string, interval: number, run: Run): void {
    // Processes that were started together need not ask together.
    const wait = Math.min(this.#times.look, interval) * (0.9 + Math.random() * 0.2);
    const look = async (): Promise<void> => {
      const until = await this.#take(job, interval);
      if (until !== undefined) await this.#run(job, run, until);
      if (!this.#stopped.signal.aborted) this.#plan(job, interval, run);
    };
    const timer = setTimeout(() => {
      const looking = look().finally(() => this.#running.delete(looking));
      this.#running.add(looking);
    }, wait);
    this.#timers.set(job, timer.unref());
  }

  /** When the lease ends, if it is this process's now. */
  async #take(name: string, interval: number): Promise<number | undefined> {
    const { database, clock, holder, observer } = this.#parts;
    let until = 0;
    const take = (db: Db): Promise<boolean> => {
      // Now, not when the database was asked for a connection.
      const now = clock();
      until = now + this.#times.lease;
      return takeLease(db, { name, holder, now, until, restedSince: now - interval });
    };
    try {
      // What a power cut takes along is run once more.
      return (await database.transaction(take, { durable: false })) ? until : undefined;
    } catch (error) {
      observer.leaseFailed(name, error);
      return undefined;
    }
  }

  async #run(job: string, run: Run, until: number): Promise<void> {
    const { clock, observer } = this.#parts;
    const { signal: stopped } = this.#stopped;
    using keeping = this.#keep(job, until);
    const { lost } = keeping;
    const began = performance.now();
    const ended = (outcome: Outcome, error?: unknown): void =>
      observer.ended(job, outcome, (performance.now() - began) / 1000, error);
    observer.started(job);
    // As if it had never run: who looks next goes on with it.
    let at = 0;
    try {
      stopped.throwIfAborted();
      await run(AbortSignal.any([stopped, lost]));
      at = clock();
      ended('succeeded');
    } catch (error) {
      if (lost.aborted) ended('lost', lost.reason);
      else if (stopped.aborted) ended('stopped');
      else {
        at = clock();
        ended('failed', error);
      }
    }
    await this.#giveBack(job, at);
  }

  /** Renews the lease, which ends at `until`, until disposed of; `lost` is aborted before another can have it. */
  #keep(name: string, until: number): Disposable & { readonly lost: AbortSignal } {
    const { database, clock, holder, observer } = this.#parts;
    const { lease } = this.#times;
    const beat = lease / 6;
    const lost = new AbortController();
    let end = until;
    const renew = async (): Promise<void> => {
      const now = clock();
      if (now + beat > end) lost.abort(new Error('the lease could not be renewed in time'));
      try {
        const terms = { name, holder, until: now + lease };
        if (await database.transaction((db) => renewLease(db, terms), { durable: false })) end = terms.until;
        else lost.abort(new Error('another process has taken the job over'));
      } catch (error) {
        observer.leaseFailed(name, error);
      }
    };
    const timer = setInterval(renew, beat);
    return { lost: lost.signal, [Symbol.dispose]: () => clearInterval(timer) };
  }

  async #giveBack(name: string, at: number): Promise<void> {
    const { database, holder, observer } = this.#parts;
    await database
      .transaction((db) => giveBackLease(db, { name, holder, at }), { durable: false })
      .catch((error) => observer.leaseFailed(name, error));
  }
}
