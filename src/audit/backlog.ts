import { anonymousIdentity } from '../access/identity.ts';
import type { NewAuditEvent } from '../db/audit-events.ts';
import { rowOf } from './row.ts';

/**
 * A bounded queue of events to be written. When it is full, refusals of unauthenticated callers are merged into one event with
 * their count; after that, the oldest events are dropped.
 */
export class AuditBacklog {
  readonly #capacity: number;
  readonly #lost: (events: readonly NewAuditEvent[]) => void;
  #rows: NewAuditEvent[] = [];
  #merged = { count: 0, since: 0, until: 0 };

  constructor(capacity: number, lost: (events: readonly NewAuditEvent[]) => void) {
    this.#capacity = capacity;
    this.#lost = lost;
  }

  get length(): number {
    return this.#rows.length + Math.sign(this.#merged.count);
  }

  add(row: NewAuditEvent): void {
    if (this.#rows.length >= this.#capacity) {
      if (isUnauthenticatedRefusal(row)) {
        this.#merge(row);
        return;
      }
      this.#makeRoom(1);
    }
    this.#rows.push(row);
  }

  /** Removes and returns the oldest events, at most `limit`. */
  take(limit: number): NewAuditEvent[] {
    if (this.#rows.length > 0 || this.#merged.count === 0) return this.#rows.splice(0, limit);
    // After all other events, so an outage of any length adds one such event.
    const { count, since, until } = this.#merged;
    this.#merged.count = 0;
    const event = { action: 'audit.overflow', allowed: false, identity: anonymousIdentity } as const;
    return [rowOf({ ...event, detail: { count, since } }, until)];
  }

  /** Returns events from {@link take} that could not be written. */
  putBack(rows: readonly NewAuditEvent[]): void {
    this.#rows = [...rows, ...this.#rows];
    if (this.#rows.length > this.#capacity) this.#makeRoom(0);
  }

  /** Makes room for `more` events. */
  #makeRoom(more: number): void {
    const kept: NewAuditEvent[] = [];
    for (const row of this.#rows) {
      if (isUnauthenticatedRefusal(row)) this.#merge(row);
      else kept.push(row);
    }
    const excess = kept.length + more - this.#capacity;
    if (excess > 0) this.#lost(kept.splice(0, excess));
    this.#rows = kept;
  }

  #merge({ at }: NewAuditEvent): void {
    if (this.#merged.count === 0) this.#merged.since = at;
    this.#merged.count += 1;
    this.#merged.until = at;
  }
}

/** Clients can cause any number of these, such as failed logins. */
function isUnauthenticatedRefusal({ allowed, credential, action }: NewAuditEvent): boolean {
  return allowed === 0 && credential === 'none' && action !== 'audit.overflow';
}
