import { type RawBuilder, type Selectable, type SelectQueryBuilder, sql } from 'kysely';
import { jsonRows } from './dialect.ts';
import { type Db, type Params, prepare } from './prepare.ts';
import { columnTypes, type Schema } from './schema.ts';

/** An event to insert: times in milliseconds since 1970, `allowed` 0 or 1, `detail` a JSON object. */
export type NewAuditEvent = Readonly<Omit<Selectable<Schema['audit_events']>, 'id'>>;

/** An entry of the audit log: an event (a login, a refusal, a pull), or a change of the registry. */
export interface AuditEntry extends NewAuditEvent {
  readonly source: 'event' | 'change';
  /** Unique among the entries of its source. */
  readonly id: number;
  /** The digest that a moved tag pointed to before; null for all other entries. */
  readonly old_digest: string | null;
  /** The `User-Agent` of a change's request. */
  readonly client: string | null;
}

/** All but the id, which the database generates. */
const { id: _, ...inserted } = columnTypes('audit_events');
const names = Object.keys(inserted) as (keyof NewAuditEvent)[];

const insert = prepare((db, p: Params<{ rows: string }>) =>
  db
    .insertInto('audit_events')
    .columns(names)
    .expression(
      sql`select ${sql.join(names.map((name) => sql.ref(`given.${name}`)))} from ${jsonRows(db, p('rows'), inserted)}`,
    ),
);

/** Texts must not contain NUL or lone surrogates, which PostgreSQL cannot store. */
export async function insertAuditEvents(db: Db, events: readonly NewAuditEvent[]): Promise<void> {
  await insert(db, { rows: JSON.stringify(events) });
}

/** Selects entries; `since` is inclusive, `until` exclusive, in milliseconds since 1970. */
export interface AuditFilter {
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  readonly repository?: string | undefined;
  /** A principal's key, or the actor's name at the time of the event. */
  readonly actor?: string | undefined;
  readonly action?: string | undefined;
  readonly allowed?: boolean | undefined;
}

type Position = Pick<AuditEntry, 'at' | 'source' | 'id'>;

/** The entries that match the filter after `after`, in the order of {@link compareEntries}. */
export async function listAuditEntries(
  db: Db,
  filter: AuditFilter,
  after: Position | undefined,
  limit: number,
): Promise<AuditEntry[]> {
  return mergeSources(db, filter, limit, (query, source) => {
    const ordered = query.orderBy('at').orderBy('id');
    return after === undefined ? ordered : ordered.where(comesAfter(source, after));
  });
}

/** The last `limit` entries that match the filter, oldest first. */
export async function listLatestAuditEntries(
  db: Db,
  filter: AuditFilter,
  limit: number,
): Promise<AuditEntry[]> {
  return mergeSources(db, filter, -limit, (query) => query.orderBy('at', 'desc').orderBy('id', 'desc'));
}

/** Sorts by time. In the same millisecond events come before changes, as the ids of the two tables are independent. */
function compareEntries(a: Position, b: Position): number {
  if (a.at !== b.at) return a.at - b.at;
  return a.source === b.source ? a.id - b.id : a.source === 'event' ? -1 : 1;
}

function comesAfter(source: AuditEntry['source'], after: Position) {
  if (source === after.source) return sql<boolean>`(at, id) > (${after.at}, ${after.id})`;
  return source === 'change' ? sql<boolean>`at >= ${after.at}` : sql<boolean>`at > ${after.at}`;
}

type Entries = SelectQueryBuilder<{ entries: AuditEntry }, 'entries', AuditEntry>;

/** The first entries of both tables, or the last ones if `limit` is negative. Each table has an index in this order. */
async function mergeSources(
  db: Db,
  filter: AuditFilter,
  limit: number,
  inOrder: (query: Entries, source: AuditEntry['source']) => Entries,
): Promise<AuditEntry[]> {
  const entries: AuditEntry[] = [];
  for (const source of ['event', 'change'] as const) {
    // Not prepared: each filter has another query, and reading thousands of rows costs more than building it.
    entries.push(
      ...(await inOrder(selectFrom(db, source, filter), source)
        .limit(Math.abs(limit))
        .execute()),
    );
  }
  entries.sort(compareEntries);
  return limit < 0 ? entries.slice(limit) : entries.slice(0, limit);
}

function selectFrom(db: Db, source: AuditEntry['source'], filter: AuditFilter): Entries {
  const { since, until, repository, actor, action, allowed } = filter;
  let query = db
    .selectFrom(sql<AuditEntry>`(${subqueries[source]})`.as('entries'))
    .selectAll() as unknown as Entries;
  if (since !== undefined) query = query.where('at', '>=', since);
  if (until !== undefined) query = query.where('at', '<', until);
  if (repository !== undefined) query = query.where('repository', '=', repository);
  if (action !== undefined) query = query.where('action', '=', action);
  if (allowed !== undefined) query = query.where('allowed', '=', Number(allowed));
  if (actor !== undefined) {
    query = query.where((where) => where.or([where('actor', '=', actor), where('actor_name', '=', actor)]));
  }
  return query;
}

const subqueries: Readonly<Record<AuditEntry['source'], RawBuilder<unknown>>> = {
  event: sql`
    select 'event' as source, id, at, action, allowed, actor, actor_name, credential, address, repository, tag,
      digest, cast(null as text) as old_digest, status, error, detail, request_id, cast(null as text) as client
    from audit_events`,
  change: sql`
    select 'change' as source, id, at, kind as action, 1 as allowed, actor, actor_name, credential, address, repository, tag,
      coalesce(new_digest, old_digest) as digest, case when new_digest is not null then old_digest end as old_digest,
      cast(null as bigint) as status, cast(null as text) as error, detail, request_id, client
    from changes`,
};

const deleteOld = prepare((db, p: Params<{ before: number; limit: number }>) =>
  db
    .deleteFrom('audit_events')
    .where('id', 'in', (some) =>
      some
        .selectFrom('audit_events')
        .select('id')
        .where('at', '<', p('before'))
        // The last row is kept, because SQLite would give its id to the next one.
        .where('id', '<', sql<number>`(select max(id) from audit_events)`)
        // The order of the log's index.
        .orderBy('at')
        .orderBy('id')
        .limit(p('limit')),
    )
    .returning('id'),
);

/** Deletes events before a time, oldest first, at most `limit`; returns their number. */
export async function deleteAuditEvents(db: Db, before: number, limit: number): Promise<number> {
  return (await deleteOld(db, { before, limit })).length;
}
