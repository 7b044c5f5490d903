import type { Clock } from '../core/clock.ts';
import type { Database } from '../db/database.ts';
import { type JobLease, takeJobLease } from './job-lease.ts';

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

/** {@link JobTimes.lease} outside tests. With these times another process runs the job of a dead one within 50 seconds. */
export const jobLeaseLength = 30_000;
const defaultTimes: JobTimes = { lease: jobLeaseLength, poll: 15_000 };

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
      const lease = await this.#take(job, interval);
      if (lease !== undefined) await this.#run(job, run, lease);
      if (!this.#stopped.signal.aborted) this.#plan(job, interval, run);
    };
    const timer = setTimeout(() => {
      const polling = poll().finally(() => this.#running.delete(polling));
      this.#running.add(polling);
    }, wait);
    this.#timers.set(job, timer.unref());
  }

  /** Takes the lease if the job is due. */
  async #take(job: string, interval: number): Promise<JobLease | undefined> {
    const failed = (error: unknown): void => this.#parts.observer.leaseFailed(job, error);
    try {
      return await takeJobLease({ ...this.#parts, length: this.#times.lease, failed }, job, interval);
    } catch (error) {
      failed(error);
      return undefined;
    }
  }

  async #run(job: string, run: Run, lease: JobLease): Promise<void> {
    const { clock, observer } = this.#parts;
    const { signal: stopped } = this.#stopped;
    const { lost } = lease;
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
    await lease.release(at);
  }
}
