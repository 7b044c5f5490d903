import { sql } from 'kysely';
import { type ColumnType, jsonRows } from './dialect.ts';
import { type Db, type Params, prepare } from './prepare.ts';

/** An event to insert: times in milliseconds since 1970, `allowed` 0 or 1, `detail` a JSON object. */
export interface NewAuditEvent {
  readonly at: number;
  readonly action: string;
  readonly allowed: number;
  readonly actor: string;
  readonly actor_name: string;
  readonly credential: string;
  readonly address: string | null;
  readonly repository: string | null;
  readonly tag: string | null;
  readonly digest: string | null;
  readonly status: number | null;
  readonly error: string | null;
  readonly detail: string | null;
  readonly request_id: string | null;
}

export interface AuditEventRow extends NewAuditEvent {
  readonly id: number;
}

/** All columns but the id, which the database generates. */
export const auditEventColumns = {
  at: 'bigint',
  action: 'text',
  allowed: 'bigint',
  actor: 'text',
  actor_name: 'text',
  credential: 'text',
  address: 'text',
  repository: 'text',
  tag: 'text',
  digest: 'text',
  status: 'bigint',
  error: 'text',
  detail: 'text',
  request_id: 'text',
} as const satisfies Record<keyof NewAuditEvent, ColumnType>;

const names = Object.keys(auditEventColumns) as (keyof NewAuditEvent)[];

const insert = prepare((db, p: Params<{ rows: string }>) =>
  db
    .insertInto('audit_events')
    .columns(names)
    .expression(
      sql`select ${sql.join(names.map((name) => sql.ref(`given.${name}`)))} from ${jsonRows(db, p('rows'), auditEventColumns)}`,
    ),
);

/** Texts must not contain NUL or lone surrogates, which PostgreSQL cannot store. */
export async function insertAuditEvents(db: Db, events: readonly NewAuditEvent[]): Promise<void> {
  await insert(db, { rows: JSON.stringify(events) });
}

/** Selects events; `since` is inclusive, `until` exclusive, in milliseconds since 1970. */
export interface AuditFilter {
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  readonly repository?: string | undefined;
  /** A principal's key, or the actor's name at the time. */
  readonly actor?: string | undefined;
  readonly action?: string | undefined;
  readonly allowed?: boolean | undefined;
}

/** The events that match the filter after `after`, ordered by (at, id). */
export async function listAuditEvents(
  db: Db,
  filter: AuditFilter,
  after: Pick<AuditEventRow, 'at' | 'id'> | undefined,
  limit: number,
): Promise<AuditEventRow[]> {
  let query = selectEvents(db, filter);
  if (after !== undefined) query = query.where(sql<boolean>`(at, id) > (${after.at}, ${after.id})`);
  return query.orderBy('at').orderBy('id').limit(limit).execute();
}

/** The last `limit` events that match the filter, oldest first. */
export async function listLatestAuditEvents(
  db: Db,
  filter: AuditFilter,
  limit: number,
): Promise<AuditEventRow[]> {
  const query = selectEvents(db, filter).orderBy('at', 'desc').orderBy('id', 'desc');
  return (await query.limit(limit).execute()).reverse();
}

/** Not prepared: each filter makes a different query, and a page has thousands of rows. */
function selectEvents(db: Db, { since, until, repository, actor, action, allowed }: AuditFilter) {
  let query = db.selectFrom('audit_events').select(['id', ...names]);
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

const deleteOld = prepare((db, p: Params<{ before: number; limit: number }>) =>
  db
    .deleteFrom('audit_events')
    .where('id', 'in', (some) =>
      some
        .selectFrom('audit_events')
        .select('id')
        .where('at', '<', p('before'))
        .orderBy('at')
        .orderBy('id')
        .limit(p('limit')),
    )
    .returning('id'),
);

/** Deletes the oldest events before a time, at most `limit`; returns how many. */
export async function deleteAuditEvents(db: Db, before: number, limit: number): Promise<number> {
  return (await deleteOld(db, { before, limit })).length;
}
