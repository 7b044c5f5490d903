import { insertAuditEvents, type NewAuditEvent } from '../db/audit-events.ts';
import type { Database } from '../db/database.ts';
import { AuditBacklog } from './backlog.ts';
import type { AuditEvent } from './event.ts';
import { AuditFloods } from './floods.ts';
import { rowOf } from './row.ts';

export interface AuditObserver {
  written(events: number): void;
  /** The events are dropped: too many were waiting, or the process ends while the database is unavailable. */
  lost(events: readonly NewAuditEvent[]): void;
  /** A write failed; `waiting` events are kept. Called once for each outage. */
  failed(error: unknown, waiting: number): void;
}

export interface AuditParts {
  /** Must refuse writes while the registry is read-only, so that a migration can copy the whole log. */
  readonly database: Database;
  readonly observer: AuditObserver;
  /** The maximum of events that wait in memory. */
  readonly capacity?: number;
  readonly times?: AuditTimes;
}

export interface AuditTimes {
  /** Milliseconds until an event is written. */
  readonly write: number;
  /** Milliseconds from a failure to the next attempt. */
  readonly retry: number;
  /** Milliseconds in which repetitions of a refusal are merged into one event. */
  readonly flood: number;
}

const defaultTimes: AuditTimes = { write: 400, retry: 2_000, flood: 60_000 };
const defaultCapacity = 10_000;
const batchSize = 250;

/**
 * Writes audit events in batches, at most half a second after they are recorded. While the database is unavailable, events wait
 * in memory. An event is written twice if the database committed a batch but the answer was lost.
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

  constructor({ database, observer, capacity = defaultCapacity, times = defaultTimes }: AuditParts) {
    this.#database = database;
    this.#observer = observer;
    this.#times = times;
    this.#backlog = new AuditBacklog(capacity, (events) => observer.lost(events));
    this.#floods = new AuditFloods(times.flood);
  }

  /** Does not throw; returns before the event is written. */
  record(event: AuditEvent): void {
    const row = rowOf(event, this.#database.clock());
    if (event.allowed || !this.#floods.merge(row)) this.#backlog.add(row);
    if (this.#backlog.length >= batchSize && !this.#failing) void this.#write();
    else this.#plan();
  }

  /** Resolves when the events recorded so far are on disk, or the write has failed. Does not write merged refusals. */
  async flush(): Promise<void> {
    // A running write may not include the latest event.
    await this.#writing;
    await this.#write();
  }

  /** Writes all events; those that cannot be written are reported as lost. */
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
