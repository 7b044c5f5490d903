import { anonymousIdentity } from '../access/identity.ts';
import type { NewAuditEvent } from '../db/audit-events.ts';
import { rowOf } from './row.ts';

/**
 * The events that wait to be written, so many at the most. Where there is no room for more, refusals of callers without an
 * account go first, of whom one event says how many they were; then the oldest event.
 */
export class AuditBacklog {
  readonly #capacity: number;
  readonly #lost: (events: readonly NewAuditEvent[]) => void;
  #rows: NewAuditEvent[] = [];
  #folded = { count: 0, since: 0, until: 0 };

  constructor(capacity: number, lost: (events: readonly NewAuditEvent[]) => void) {
    this.#capacity = capacity;
    this.#lost = lost;
  }

  get length(): number {
    return this.#rows.length + Math.sign(this.#folded.count);
  }

  add(row: NewAuditEvent): void {
    if (this.#rows.length >= this.#capacity) {
      if (isCheap(row)) {
        this.#fold(row);
        return;
      }
      this.#makeRoom(1);
    }
    this.#rows.push(row);
  }

  /** The oldest events, `limit` at most, which are the caller's from now on. */
  take(limit: number): NewAuditEvent[] {
    if (this.#rows.length > 0 || this.#folded.count === 0) return this.#rows.splice(0, limit);
    // At the end of all others: there is one such event however long the database was away.
    const { count, since, until } = this.#folded;
    this.#folded.count = 0;
    const event = { action: 'audit.overflow', allowed: false, identity: anonymousIdentity } as const;
    return [rowOf({ ...event, detail: { count, since } }, until)];
  }

  /** Gives back what was taken and could not be written. */
  putBack(rows: readonly NewAuditEvent[]): void {
    this.#rows = [...rows, ...this.#rows];
    if (this.#rows.length > this.#capacity) this.#makeRoom(0);
  }

  /** So that `more` fit. */
  #makeRoom(more: number): void {
    const kept: NewAuditEvent[] = [];
    for (const row of this.#rows) {
      if (isCheap(row)) this.#fold(row);
      else kept.push(row);
    }
    const excess = kept.length + more - this.#capacity;
    if (excess > 0) this.#lost(kept.splice(0, excess));
    this.#rows = kept;
  }

  #fold({ at }: NewAuditEvent): void {
    if (this.#folded.count === 0) this.#folded.since = at;
    this.#folded.count += 1;
    this.#folded.until = at;
  }
}

/** Anybody can cause these: logins that fail are among them, whatever name was given. */
function isCheap({ allowed, credential, action }: NewAuditEvent): boolean {
  return allowed === 0 && credential === 'none' && action !== 'audit.overflow';
}
