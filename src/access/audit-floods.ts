import type { NewAuditEvent } from '../db/audit-events.ts';
import { networkOf } from './network-of.ts';

/** How many kinds of refusals are kept apart at a time; what is more is told apart by action and error alone. */
const maxKinds = 1_000;
const several = 'several';

interface Flood {
  readonly began: number;
  /** What all the refusals that were not written have in common. */
  row: NewAuditEvent | undefined;
  count: number;
}

/**
 * Refusals that repeat: the same actor at the same address is refused the same action for the same reason, again and again. The
 * first is an event; those of the next minute become one more. So the log grows by some thousand events a minute at the most,
 * whatever is thrown at the registry.
 */
export class AuditFloods {
  readonly #length: number;
  readonly #floods = new Map<string, Flood>();

  /** @param length milliseconds for which repetitions are one event */
  constructor(length: number) {
    this.#length = length;
  }

  get size(): number {
    return this.#floods.size;
  }

  /** Whether this refusal repeats one, so that it is part of an event to come and none by itself. */
  takes(row: NewAuditEvent): boolean {
    const flood = this.#find(row);
    if (flood === undefined) return false;
    flood.row = flood.row === undefined ? row : common(flood.row, row);
    flood.count += 1;
    return true;
  }

  /** The events of those that are over at a time; of all, when none is given. */
  end(now = Number.POSITIVE_INFINITY): NewAuditEvent[] {
    const rows: NewAuditEvent[] = [];
    for (const [key, { began, row, count }] of this.#floods) {
      if (began + this.#length > now) continue;
      this.#floods.delete(key);
      if (row !== undefined) rows.push({ ...row, detail: JSON.stringify({ count, since: began }) });
    }
    return rows;
  }

  #find(row: NewAuditEvent): Flood | undefined {
    const { action, error, actor, address } = row;
    const own = `${action} ${error} ${address && networkOf(address)} ${actor}`;
    const wide = `${action} ${error}`;
    const known = this.#floods.get(own) ?? this.#floods.get(wide);
    if (known !== undefined) return known;
    const key = this.#floods.size < maxKinds ? own : wide;
    this.#floods.set(key, { began: row.at, row: undefined, count: 0 });
    return undefined;
  }
}

function common(one: NewAuditEvent, other: NewAuditEvent): NewAuditEvent {
  const same = <K extends keyof NewAuditEvent>(key: K) => (one[key] === other[key] ? one[key] : null);
  return {
    ...other,
    actor: same('actor') ?? several,
    actor_name: same('actor_name') ?? several,
    credential: same('credential') ?? several,
    address: same('address'),
    repository: same('repository'),
    tag: same('tag'),
    digest: same('digest'),
    request_id: null,
  };
}
