import { insertAuditEvents, type NewAuditEvent } from '../db/audit-events.ts';
import type { Database } from '../db/database.ts';
import { AuditBacklog } from './backlog.ts';
import type { AuditEvent } from './event.ts';
import { AuditFloods } from './floods.ts';
import { rowOf } from './row.ts';

/** Whoever wants to know how the log fares. */
export interface AuditObserver {
  written(events: number): void;
  /** These will not be in the log: there was no room to keep them, or the process ends while the database takes nothing. */
  lost(events: readonly NewAuditEvent[]): void;
  /** The database did not take events, and `waiting` of them are kept. Told once, until it takes some. */
  failed(error: unknown, waiting: number): void;
}

export interface AuditParts {
  /** One that refuses while the registry is read-only: a log that grew all the time could not be copied to its end. */
  readonly database: Database;
  readonly observer: AuditObserver;
  /** How many events may wait in memory. */
  readonly capacity?: number;
  readonly times?: AuditTimes;
}

export interface AuditTimes {
  /** Milliseconds from an event to its being written. */
  readonly write: number;
  /** Milliseconds from a failure to the next attempt. */
  readonly retry: number;
  /** Milliseconds for which a refusal that repeats is one event. */
  readonly flood: number;
}

const usualTimes: AuditTimes = { write: 400, retry: 2_000, flood: 60_000 };
const usualCapacity = 10_000;
const batchSize = 250;

/**
 * The audit log. Events are told at once and written in batches, half a second later at most; what the database cannot take
 * waits. Where only the answer to a commit was lost, its events are there twice.
 */
export class Audit {
  readonly #database: Database;
  readonly #observer: AuditObserver;
  readonly #times: AuditTimes;
  readonly #backlog: AuditBacklog;
  readonly #floods: AuditFloods;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #failing = false;
  #closed = false;

  constructor({ database, observer, capacity = usualCapacity, times = usualTimes }: AuditParts) {
    this.#database = database;
    this.#observer = observer;
    this.#times = times;
    this.#backlog = new AuditBacklog(capacity, (events) => observer.lost(events));
    this.#floods = new AuditFloods(times.flood);
  }

  /** Neither throws nor waits. */
  record(event: AuditEvent): void {
    const row = rowOf(event, this.#database.clock());
    if (event.allowed || !this.#floods.takes(row)) this.#backlog.add(row);
    if (this.#backlog.length >= batchSize && !this.#failing) void this.#write();
    else this.#plan();
  }

  /** Resolves when what was recorded so far is on disk, or the database has refused it. Repeated refusals stay open. */
  async flush(): Promise<void> {
    // A write that runs may have begun before the last event came.
    await this.#writing;
    await this.#write();
  }

  /** Writes what it can, and tells of the rest that it is lost. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const row of this.#floods.end()) this.#backlog.add(row);
    await this.flush();
    const left = this.#backlog.take(Number.POSITIVE_INFINITY);
    if (left.length > 0) this.#observer.lost(left);
  }

  #plan(): void {
    if (this.#timer !== undefined || this.#closed) return;
    const look = (): void => {
      this.#timer = undefined;
      for (const row of this.#floods.end(this.#database.clock())) this.#backlog.add(row);
      void this.#write();
    };
    this.#timer = setTimeout(look, this.#failing ? this.#times.retry : this.#times.write).unref();
  }

  #write(): Promise<void> {
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
      if (this.#backlog.length > 0 || this.#floods.size > 0) this.#plan();
    });
    return this.#writing;
  }

  async #writeAll(): Promise<void> {
    for (let rows = this.#backlog.take(batchSize); rows.length > 0; rows = this.#backlog.take(batchSize)) {
      const batch = rows;
      try {
        await this.#database.transaction((db) => insertAuditEvents(db, batch));
      } catch (error) {
        this.#backlog.putBack(batch);
        if (!this.#failing) this.#observer.failed(error, this.#backlog.length);
        this.#failing = true;
        return;
      }
      this.#failing = false;
      this.#observer.written(batch.length);
    }
  }
}
