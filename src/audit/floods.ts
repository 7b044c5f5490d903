import { networkOf } from '../access/network-of.ts';
import type { NewAuditEvent } from '../db/audit-events.ts';
import type { AuditAction } from './actions.ts';

/** How many kinds of refusals are kept apart at a time; what is more is told apart by action and error alone. */
const maxKinds = 1_000;
/** How many of them a network may have whose callers have shown no credentials that are good; what is more is one event. */
const maxKindsOfStrangers = 20;
const several = 'several';
const overflow: AuditAction = 'audit.overflow';

interface Flood {
  readonly began: number;
  /** The network that it counts for among those of strangers. */
  readonly network: string | undefined;
  /** What all the refusals that were not written have in common. */
  row: NewAuditEvent | undefined;
  count: number;
}

/**
 * Refusals that repeat: the same actor at the same address is refused the same action for the same reason, again and again. The
 * first is an event; those of the next minute become one more. So the log grows by some thousand events a minute at the most,
 * whatever is thrown at the registry, and by {@link maxKindsOfStrangers} twice and one that a network without an account sends.
 */
export class AuditFloods {
  readonly #length: number;
  readonly #floods = new Map<string, Flood>();
  /** How many floods there are of strangers, by network. */
  readonly #strangers = new Map<string, number>();

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
    for (const [key, { began, network, row, count }] of this.#floods) {
      if (began + this.#length > now) continue;
      this.#floods.delete(key);
      if (network !== undefined) this.#countStrangers(network, -1);
      if (row !== undefined) rows.push({ ...row, detail: JSON.stringify({ count, since: began }) });
    }
    return rows;
  }

  #find(row: NewAuditEvent): Flood | undefined {
    const { action, error, actor, address, credential, at } = row;
    const network = address === null ? '' : networkOf(address);
    const isStranger = credential === 'none';
    const own = `${action} ${error} ${network} ${actor}`;
    const crowd = `strangers ${network}`;
    const wide = `${action} ${error}`;
    const known =
      this.#floods.get(own) ?? (isStranger ? this.#floods.get(crowd) : undefined) ?? this.#floods.get(wide);
    if (known !== undefined) return known;
    if (this.#floods.size >= maxKinds) {
      this.#begin(wide, at);
    } else if (!isStranger) {
      this.#begin(own, at);
    } else if ((this.#strangers.get(network) ?? 0) < maxKindsOfStrangers) {
      this.#begin(own, at, network);
    } else {
      return this.#begin(crowd, at);
    }
    return undefined;
  }

  #begin(key: string, began: number, network?: string): Flood {
    const flood = { began, network, row: undefined, count: 0 };
    this.#floods.set(key, flood);
    if (network !== undefined) this.#countStrangers(network, 1);
    return flood;
  }

  #countStrangers(network: string, more: 1 | -1): void {
    const count = (this.#strangers.get(network) ?? 0) + more;
    if (count === 0) this.#strangers.delete(network);
    else this.#strangers.set(network, count);
  }
}

function common(one: NewAuditEvent, other: NewAuditEvent): NewAuditEvent {
  const same = <K extends keyof NewAuditEvent>(key: K) => (one[key] === other[key] ? one[key] : null);
  return {
    ...other,
    action: same('action') ?? overflow,
    actor: same('actor') ?? several,
    actor_name: same('actor_name') ?? several,
    credential: same('credential') ?? several,
    address: same('address'),
    repository: same('repository'),
    tag: same('tag'),
    digest: same('digest'),
    status: same('status'),
    error: same('error'),
    request_id: null,
  };
}
