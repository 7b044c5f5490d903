import { networkOf } from '../access/network-of.ts';
import type { NewAuditEvent } from '../db/audit-events.ts';
import type { AuditAction } from './actions.ts';

/** Maximum of kinds of refusals that are merged separately at a time. Further refusals are merged by action and error only. */
const maxKinds = 1_000;
/** Maximum of kinds for the unauthenticated callers of one network. Their further refusals are merged into one event. */
const maxKindsUnauthenticated = 20;
const several = 'several';
const overflow: AuditAction = 'audit.overflow';

interface Flood {
  readonly began: number;
  /** Set if the flood counts towards {@link maxKindsUnauthenticated} of this network. */
  readonly network: string | undefined;
  /** The fields that all merged refusals have in common; `undefined` before the first repetition. */
  row: NewAuditEvent | undefined;
  count: number;
}

/**
 * Merges repeated refusals: same actor, network, action and error. The first refusal is an event; all repetitions in the next
 * minute are one further event. So an attack adds at most a few thousand events a minute. A network of unauthenticated callers
 * adds at most twice {@link maxKindsUnauthenticated} plus one.
 */
export class AuditFloods {
  readonly #length: number;
  readonly #floods = new Map<string, Flood>();
  /** The number of floods of unauthenticated callers, by network. */
  readonly #unauthenticated = new Map<string, number>();

  /** @param length milliseconds in which repetitions are merged */
  constructor(length: number) {
    this.#length = length;
  }

  get size(): number {
    return this.#floods.size;
  }

  /** Merges a repetition into a later event; returns whether it did. */
  merge(row: NewAuditEvent): boolean {
    const flood = this.#find(row);
    if (flood === undefined) return false;
    flood.row = flood.row === undefined ? row : common(flood.row, row);
    flood.count += 1;
    return true;
  }

  /** Ends the floods that are over at `now`, and returns their events; ends all without `now`. */
  end(now = Number.POSITIVE_INFINITY): NewAuditEvent[] {
    const rows: NewAuditEvent[] = [];
    for (const [key, { began, network, row, count }] of this.#floods) {
      if (began + this.#length > now) continue;
      this.#floods.delete(key);
      if (network !== undefined) this.#countUnauthenticated(network, -1);
      if (row !== undefined) rows.push({ ...row, detail: JSON.stringify({ count, since: began }) });
    }
    return rows;
  }

  #find(row: NewAuditEvent): Flood | undefined {
    const { action, error, actor, address, credential, at } = row;
    const network = address === null ? '' : networkOf(address);
    const isUnauthenticated = credential === 'none';
    const byActor = `${action} ${error} ${network} ${actor}`;
    const byNetwork = `unauthenticated ${network}`;
    const byAction = `${action} ${error}`;
    const known =
      this.#floods.get(byActor) ??
      (isUnauthenticated ? this.#floods.get(byNetwork) : undefined) ??
      this.#floods.get(byAction);
    if (known !== undefined) return known;
    if (this.#floods.size >= maxKinds) {
      this.#begin(byAction, at);
    } else if (!isUnauthenticated) {
      this.#begin(byActor, at);
    } else if ((this.#unauthenticated.get(network) ?? 0) < maxKindsUnauthenticated) {
      this.#begin(byActor, at, network);
    } else {
      return this.#begin(byNetwork, at);
    }
    return undefined;
  }

  #begin(key: string, began: number, network?: string): Flood {
    const flood = { began, network, row: undefined, count: 0 };
    this.#floods.set(key, flood);
    if (network !== undefined) this.#countUnauthenticated(network, 1);
    return flood;
  }

  #countUnauthenticated(network: string, more: 1 | -1): void {
    const count = (this.#unauthenticated.get(network) ?? 0) + more;
    if (count === 0) this.#unauthenticated.delete(network);
    else this.#unauthenticated.set(network, count);
  }
}

/** Keeps the fields that both have in common. */
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
