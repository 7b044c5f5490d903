import { type Selectable, sql } from 'kysely';
import type { Digest } from '../oci/digest.ts';
import type { Tag } from '../oci/reference.ts';
import { inJsonIds, isPostgres } from './dialect.ts';
import { type Db, type Params, prepare } from './prepare.ts';
import { anyQuota, type WithAnyQuota } from './quotas.ts';
import { columnTypes, type Schema } from './schema.ts';
import { sliceSize, untilDone } from './slices.ts';
import { isTagMove } from './tag-history.ts';
import { anyTagRule } from './tag-rules.ts';
import { moveTag, upsertTag } from './tags.ts';

/**
 * The account that makes a change, with its credential and request at that time. Both databases can store all texts (see
 * `access/actor.ts`).
 */
export interface Actor {
  /** The key of a principal, `cli:<user of the operating system>`, `retention` for retention policies, or `system` for Berth itself. */
  readonly actor: string;
  readonly actor_name: string;
  /** The kind of credential, with its id: `password`, `token:7`; never the secret. */
  readonly credential: string;
  readonly address: string | null;
  /** The `User-Agent` header. */
  readonly client: string | null;
  readonly request_id: string | null;
}

/** The actor for people: its name, or `anonymous` and the like. */
export function printActor({ actor, actor_name }: Actor): string {
  return actor_name || actor;
}

/** The actor of changes that Berth makes by itself, such as creating the first administrator. */
export const system: Actor = {
  actor: 'system',
  actor_name: '',
  credential: 'none',
  address: null,
  client: null,
  request_id: null,
};

/** The actor of removals by retention policies, except those of `berth retention run`. */
export const retention: Actor = { ...system, actor: 'retention', actor_name: 'retention' };

/** A change to record, without its actor. */
export interface NewChange {
  /** The action in the audit log, such as `manifest.push` (see `audit/actions.ts`). */
  readonly kind: string;
  readonly repository?: string;
  readonly repositoryId?: number;
  readonly tag?: Tag;
  readonly oldDigest?: Digest;
  readonly newDigest?: Digest;
  /** Further fields, as a JSON object. */
  readonly detail?: Readonly<Record<string, unknown>> | undefined;
}

/** A change of a tag. */
export type TagChange = NewChange & Required<Pick<NewChange, 'repositoryId' | 'tag'>>;

/** A row of the table; times in milliseconds since 1970. */
export type ChangeRow = Readonly<Selectable<Schema['changes']>>;

type Inserted = Omit<ChangeRow, 'id'>;

const types = columnTypes('changes');

const insert = prepare((db, p: Params<Inserted>) => db.insertInto('changes').values(valuesOf(p)));

/** Records a change. Must run in the transaction that makes the change, so that both are committed or neither. */
export async function recordChange(db: Db, by: Actor, change: NewChange, now: number): Promise<void> {
  await insert(db, rowOf(by, change, now));
}

const returned = ['old_digest', anyTagRule.as('any_rule'), anyQuota.as('any_quota')] as const;

const insertTagged = prepare((db, p: Params<Inserted>) =>
  db.insertInto('changes').values(taggedValues(db, p)).returning(returned),
);

/** Records a change of a tag. Must run before the change: the row's old digest is the one that the tag points to. */
export async function recordTagChange(db: Db, by: Actor, change: TagChange, now: number): Promise<void> {
  await insertTagged(db, rowOf(by, change, now));
}

const insertWithMove = prepare((db, p: Params<Inserted & { manifest: number }>) =>
  db
    .with('moved', () =>
      upsertTag(db, {
        repository_id: sql<number>`${p('repository_id')}`,
        name: sql<string>`${p('tag')}`,
        manifest_id: p('manifest'),
        updated_at: p('at'),
      }).returning('name'),
    )
    .insertInto('changes')
    .values(taggedValues(db, p))
    .returning(returned),
);

/** Read by the statement that records the move, so that a push needs no further one. */
export interface RecordedMove extends WithAnyQuota {
  /** The digest that the tag pointed to before; null: the tag is new. */
  readonly old_digest: string | null;
  /** 1 if the registry has any tag rule in the database, else 0. */
  readonly any_rule: number;
}

/**
 * Points a tag to a manifest and records the change. On PostgreSQL this is one statement, to save a round trip; both of its parts see
 * the tag as it was before.
 */
export async function moveAndRecordTag(
  db: Db,
  by: Actor,
  change: TagChange,
  manifest: number,
  now: number,
): Promise<RecordedMove> {
  const row = rowOf(by, change, now);
  if (isPostgres(db)) return (await insertWithMove(db, { ...row, manifest }))[0] as RecordedMove;
  const [move] = await insertTagged(db, row);
  await moveTag(db, change.repositoryId, change.tag, manifest, now);
  return move as RecordedMove;
}

const insertTagDeletions = prepare(
  (db, p: Params<Inserted & { manifest: number; after: string; limit: number }>) => {
    const { tag: _, ...rest } = valuesOf(p);
    const columns = Object.keys(rest) as (keyof typeof rest)[];
    return db
      .insertInto('changes')
      .columns(['tag', ...columns])
      .expression(
        db
          .selectFrom('tags')
          .select('tags.name as tag')
          .select(columns.map((name) => sql`cast(${rest[name]} as ${sql.raw(types[name])})`.as(name)))
          .where('tags.manifest_id', '=', p('manifest'))
          .where('tags.name', '>', p('after'))
          .orderBy('tags.name')
          .limit(p('limit')),
      )
      .returning('tag');
  },
);

/** Records a `tag.delete` for each tag of the manifest. Must run before the tags are deleted. */
export async function recordTagDeletions(
  db: Db,
  by: Actor,
  manifest: number,
  change: Omit<NewChange, 'kind' | 'tag'>,
  now: number,
): Promise<void> {
  const row = rowOf(by, { ...change, kind: 'tag.delete' }, now);
  let after = '';
  await untilDone(async () => {
    const recorded = await insertTagDeletions(db, { ...row, manifest, after, limit: sliceSize });
    for (const { tag } of recorded) if (tag !== null && tag > after) after = tag;
    return recorded.length;
  });
}

/** The values of a row whose old digest is the one that the tag points to. */
function taggedValues(db: Db, p: Params<Inserted>) {
  return {
    ...valuesOf(p),
    old_digest: db
      .selectFrom('tags')
      .innerJoin('manifests', 'manifests.id', 'tags.manifest_id')
      .select('manifests.digest')
      .where('tags.repository_id', '=', p('repository_id'))
      .where('tags.name', '=', p('tag')),
  };
}

function valuesOf(p: Params<Inserted>) {
  return {
    at: p('at'),
    kind: p('kind'),
    repository: p('repository'),
    repository_id: p('repository_id'),
    tag: p('tag'),
    old_digest: p('old_digest'),
    new_digest: p('new_digest'),
    detail: p('detail'),
    actor: p('actor'),
    actor_name: p('actor_name'),
    credential: p('credential'),
    address: p('address'),
    client: p('client'),
    request_id: p('request_id'),
  };
}

/** Characters. */
const maxDetail = 4_096;

function rowOf(by: Actor, change: NewChange, at: number): Inserted {
  const { kind, repository, repositoryId, tag, oldDigest, newDigest, detail } = change;
  return {
    at,
    kind,
    repository: repository ?? null,
    repository_id: repositoryId ?? null,
    tag: tag ?? null,
    old_digest: oldDigest ?? null,
    new_digest: newDigest ?? null,
    detail: detail === undefined ? null : printDetail(detail),
    actor: by.actor,
    actor_name: by.actor_name,
    credential: by.credential,
    address: by.address,
    client: by.client,
    request_id: by.request_id,
  };
}

/** The detail as JSON. A detail longer than {@link maxDetail} is replaced by its length. */
export function printDetail(detail: Readonly<Record<string, unknown>>): string {
  const text = JSON.stringify(detail);
  return text.length <= maxDetail ? text : JSON.stringify({ omitted: `${text.length} characters` });
}

/** Changes before these times are deleted, in milliseconds since 1970. */
export interface DeletedBefore {
  /** For moves and deletions of tags; at most `others`. */
  readonly tagMoves: number;
  readonly others: number;
}

/** A position in the order in which changes are deleted. */
export type ChangePosition = Pick<ChangeRow, 'at' | 'id'>;

const selectOld = prepare((db, p: Params<{ at: number; id: number; before: number; limit: number }>) =>
  db
    .selectFrom('changes')
    .select(['at', 'id', sql<number>`case when ${isTagMove} then 1 else 0 end`.as('move')])
    .where(sql<boolean>`(at, id) > (${p('at')}, ${p('id')})`)
    .where('at', '<', p('before'))
    // The last row is kept, because SQLite would give its id to the next one.
    .where('id', '<', sql<number>`(select max(id) from changes)`)
    .orderBy('at')
    .orderBy('id')
    .limit(p('limit')),
);

const deleteByIds = prepare((db, p: Params<{ ids: string }>) =>
  db.deleteFrom('changes').where('id', 'in', inJsonIds(db, p('ids'))),
);

/**
 * Deletes the old ones of the next `limit` changes after a position, oldest first.
 * @returns the number of deleted changes, and the position for the next call; `undefined` at the end
 */
export async function deleteChanges(
  db: Db,
  { tagMoves, others }: DeletedBefore,
  { at, id }: ChangePosition,
  limit: number,
): Promise<{ deleted: number; next: ChangePosition | undefined }> {
  const rows = await selectOld(db, { at, id, before: others, limit });
  const old = rows.filter((row) => row.move === 0 || row.at < tagMoves);
  if (old.length > 0) await deleteByIds(db, { ids: JSON.stringify(old.map((row) => row.id)) });
  return { deleted: old.length, next: rows.length === limit ? rows.at(-1) : undefined };
}
