import type { Clock } from '../core/clock.ts';
import type { Database } from '../db/database.ts';
import { releaseLease, renewLease, takeLease } from '../db/leases.ts';
import type { Db } from '../db/prepare.ts';

/** The work of a job. It ends early when the signal is aborted, and may be killed at any point. */
export type Run = (signal: AbortSignal) => Promise<void>;

/** How a run ended: `lost` if another process took the lease or it could not be renewed, `stopped` at the end of this process. */
export type Outcome = 'succeeded' | 'failed' | 'lost' | 'stopped';

/** Receives the events of this process's jobs. */
export interface JobObserver {
  planned(job: string): void;
  started(job: string): void;
  ended(job: string, outcome: Outcome, seconds: number, error?: unknown): void;
  /** A database failure on taking, renewing or releasing the lease, which is retried. */
  leaseFailed(job: string, error: unknown): void;
}

export interface JobTimes {
  /** Milliseconds after which another process takes over the job of a dead one. */
  readonly lease: number;
  /** Milliseconds between checks whether a job is due. */
  readonly poll: number;
}

/** With these times another process runs the job of a dead one within 50 seconds. */
const defaultTimes: JobTimes = { lease: 30_000, poll: 15_000 };

export interface JobsParts {
  readonly database: Database;
  /** The database's clock, which all processes share. */
  readonly clock: Clock;
  /** Unique id of this process, never reused. */
  readonly holder: string;
  readonly observer: JobObserver;
  readonly times?: JobTimes;
}

/**
 * Background jobs. Any process may run a job, but only one at a time: the holder of the job's lease in the database. A process that
 * was suspended until its lease expired may continue for a moment, so a job must be safe to run twice at the same time.
 */
export class Jobs {
  readonly #parts: JobsParts;
  readonly #times: JobTimes;
  readonly #stopped = new AbortController();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #running = new Set<Promise<void>>();

  constructor(parts: JobsParts) {
    this.#parts = parts;
    this.#times = parts.times ?? defaultTimes;
  }

  /**
   * Runs the job `interval` milliseconds after its last run ended in any process. A job that has never run, or whose last process
   * died or stopped before the end, is run at once. A failed run is reported and does not stop further runs.
   */
  every(job: string, interval: number, run: Run): void {
    this.#parts.observer.planned(job);
    this.#plan(job, interval, run);
  }

  /** Aborts running jobs and releases their leases. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    await Promise.all(this.#running);
  }

  #plan(job: string, interval: number, run: Run): void {
    // Jitter, so that processes started together do not all poll at once.
    const wait = Math.min(this.#times.poll, interval) * (0.9 + Math.random() * 0.2);
    const poll = async (): Promise<void> => {
      const until = await this.#take(job, interval);
      if (until !== undefined) await this.#run(job, run, until);
      if (!this.#stopped.signal.aborted) this.#plan(job, interval, run);
    };
    const timer = setTimeout(() => {
      const polling = poll().finally(() => this.#running.delete(polling));
      this.#running.add(polling);
    }, wait);
    this.#timers.set(job, timer.unref());
  }

  /** Takes the lease if the job is due; returns its end, or `undefined` if not taken. */
  async #take(name: string, interval: number): Promise<number | undefined> {
    const { database, clock, holder, observer } = this.#parts;
    let until = 0;
    const take = (db: Db): Promise<boolean> => {
      // Read inside the transaction: waiting for a connection may take long.
      const now = clock();
      until = now + this.#times.lease;
      return takeLease(db, { name, holder, now, until, releasedBefore: now - interval });
    };
    try {
      // A power cut may undo this; then the job runs once more.
      return (await database.transaction(take, { durable: false })) ? until : undefined;
    } catch (error) {
      observer.leaseFailed(name, error);
      return undefined;
    }
  }

  async #run(job: string, run: Run, until: number): Promise<void> {
    const { clock, observer } = this.#parts;
    const { signal: stopped } = this.#stopped;
    using renewing = this.#keepRenewing(job, until);
    const { lost } = renewing;
    const began = performance.now();
    const ended = (outcome: Outcome, error?: unknown): void =>
      observer.ended(job, outcome, (performance.now() - began) / 1000, error);
    observer.started(job);
    // 0 means never run: the next poll of any process starts the job again.
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
    await this.#release(job, at);
  }

  /** Renews the lease, which ends at `until`, until disposed of. Aborts `lost` before another process can take the lease. */
  #keepRenewing(name: string, until: number): Disposable & { readonly lost: AbortSignal } {
    const { database, clock, holder, observer } = this.#parts;
    const { lease } = this.#times;
    const renewInterval = lease / 6;
    const lost = new AbortController();
    let end = until;
    const renew = async (): Promise<void> => {
      const now = clock();
      if (now + renewInterval > end) lost.abort(new Error('the lease could not be renewed in time'));
      try {
        const terms = { name, holder, until: now + lease };
        if (await database.transaction((db) => renewLease(db, terms), { durable: false })) end = terms.until;
        else lost.abort(new Error('another process has taken the lease'));
      } catch (error) {
        observer.leaseFailed(name, error);
      }
    };
    const timer = setInterval(renew, renewInterval);
    return { lost: lost.signal, [Symbol.dispose]: () => clearInterval(timer) };
  }

  async #release(name: string, at: number): Promise<void> {
    const { database, holder, observer } = this.#parts;
    await database
      .transaction((db) => releaseLease(db, { name, holder, at }), { durable: false })
      .catch((error) => observer.leaseFailed(name, error));
  }
}
