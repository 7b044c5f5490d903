// Reads the moves of tags from the table `changes`.
import { sql } from 'kysely';
import type { Digest } from '../oci/digest.ts';
import type { Tag } from '../oci/reference.ts';
import { inJsonIds } from './dialect.ts';
import { type Db, type Params, prepare } from './prepare.ts';
import type { Schema } from './schema.ts';

/** A change that made a tag point to another manifest than before, created it or deleted it. Times in milliseconds since 1970. */
export interface TagMove {
  /** Of the change; later moves of a tag have higher ids. */
  readonly id: number;
  readonly at: number;
  /** As in `audit/actions.ts`. */
  readonly kind: string;
  readonly tag: Tag;
  /** `null`: the tag did not exist. */
  readonly old_digest: Digest | null;
  /** `null`: the tag was deleted. */
  readonly new_digest: Digest | null;
  /** These five: see `Actor` in `db/changes.ts`. */
  readonly actor: string;
  readonly actor_name: string;
  readonly credential: string;
  readonly address: string | null;
  readonly client: string | null;
}

/** The condition of the partial indexes of migration 0012. Without it the databases would not use them. */
export const isTagMove = sql<boolean>`tag is not null and old_digest is distinct from new_digest`;

const columns = [
  'id',
  'at',
  'kind',
  'tag',
  'old_digest',
  'new_digest',
  'actor',
  'actor_name',
  'credential',
  'address',
  'client',
] as const satisfies readonly (keyof Schema['changes'])[];

const selectMoves = prepare((db, p: Params<{ repository: number; before: number; limit: number }>) =>
  db
    .selectFrom('changes')
    .select(columns)
    .where('repository_id', '=', p('repository'))
    .where(isTagMove)
    .where('id', '<', p('before'))
    .orderBy('id', 'desc')
    .limit(p('limit')),
);

const selectMovesOfTag = prepare(
  (db, p: Params<{ repository: number; tag: string; before: number; limit: number }>) =>
    db
      .selectFrom('changes')
      .select(columns)
      .where('repository_id', '=', p('repository'))
      .where('tag', '=', p('tag'))
      .where(isTagMove)
      .where('id', '<', p('before'))
      .orderBy('id', 'desc')
      .limit(p('limit')),
);

/** An id above those of all changes. */
export const afterAllChanges = Number.MAX_SAFE_INTEGER;

/** Moves of the repository's tags, or of one tag, with ids below `before`, newest first, at most `limit`. */
export function listTagMoves(
  db: Db,
  repository: number,
  tag: Tag | undefined,
  { before, limit }: { readonly before: number; readonly limit: number },
): Promise<TagMove[]> {
  const moves =
    tag === undefined
      ? selectMoves(db, { repository, before, limit })
      : selectMovesOfTag(db, { repository, tag, before, limit });
  return moves as Promise<TagMove[]>;
}

const selectByIds = prepare((db, p: Params<{ ids: string }>) =>
  db
    .selectFrom('changes')
    .select(columns)
    .where('id', 'in', inJsonIds(db, p('ids'))),
);

/** Moves by their ids, as far as they exist. */
export async function findTagMoves(db: Db, ids: readonly number[]): Promise<Map<number, TagMove>> {
  const moves = (await selectByIds(db, { ids: JSON.stringify(ids) })) as TagMove[];
  return new Map(moves.map((move) => [move.id, move]));
}
