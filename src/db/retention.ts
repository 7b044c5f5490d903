// Reads what decides whether retention keeps a tag or a manifest.
import { sql } from 'kysely';
import type { Digest } from '../oci/digest.ts';
import type { RepositoryName } from '../oci/name.ts';
import { inJsonIds } from './dialect.ts';
import { type Db, type Params, prepare } from './prepare.ts';
import { isTagMove } from './tag-history.ts';

/** A manifest of a page; the last two are 1 or 0. */
export interface PagedManifest {
  readonly id: number;
  readonly digest: Digest;
  readonly tagged: number;
  /** Whether an index of the repository lists it. */
  readonly listed: number;
}

const selectManifests = prepare((db, p: Params<{ repository: number; after: string; limit: number }>) =>
  db
    // Reads every row of a range of an index and nothing of the table, so that the limit bounds the work.
    .selectFrom(
      db
        .selectFrom('manifests')
        .select(['id', 'digest'])
        .where('repository_id', '=', p('repository'))
        .where('digest', '>', p('after'))
        .orderBy('digest')
        .limit(p('limit'))
        .as('page'),
    )
    .select(['page.id', 'page.digest'])
    .select(
      sql<number>`case when exists (select 1 from tags where tags.manifest_id = page.id) then 1 else 0 end`.as(
        'tagged',
      ),
    )
    .select(
      sql<number>`case when exists (
        select 1 from manifest_references as needed
        where needed.digest = page.digest and needed.repository_id = ${p('repository')}
      ) then 1 else 0 end`.as('listed'),
    )
    .orderBy('page.digest'),
);

/** Manifests of the repository after `after`, by digest, at most `limit`. */
export function listPagedManifests(
  db: Db,
  repository: number,
  after: string,
  limit: number,
): Promise<PagedManifest[]> {
  return selectManifests(db, { repository, after, limit }) as Promise<PagedManifest[]>;
}

/** A manifest without tags. */
export interface UntaggedManifest {
  readonly id: number;
  readonly digest: Digest;
  readonly media_type: string;
  readonly created_at: number;
  /** Row id of its subject, if the repository holds it. */
  readonly subject: number | null;
  /** When a tag last moved away from it or was deleted, as far as recorded. */
  readonly left_at: number | null;
}

const selectUntagged = prepare((db, p: Params<{ ids: string }>) =>
  db
    .selectFrom('manifests')
    .leftJoin('manifests as subject', (join) =>
      join
        .onRef('subject.repository_id', '=', 'manifests.repository_id')
        .onRef('subject.digest', '=', 'manifests.subject_digest'),
    )
    .select([
      'manifests.id',
      'manifests.digest',
      'manifests.media_type',
      'manifests.created_at',
      'subject.id as subject',
    ])
    .select((select) =>
      select
        .selectFrom('changes')
        .select(({ fn }) => fn.max('changes.at').as('last'))
        .whereRef('changes.repository_id', '=', 'manifests.repository_id')
        .whereRef('changes.old_digest', '=', 'manifests.digest')
        .where(isTagMove)
        // The condition of the index of migration 0018.
        .where('changes.old_digest', 'is not', null)
        .as('left_at'),
    )
    .where('manifests.id', 'in', inJsonIds(db, p('ids')))
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('tags').select('tags.name').whereRef('tags.manifest_id', '=', 'manifests.id'))),
    )
    .orderBy('manifests.id'),
);

/** Those of these manifests that have no tag. */
export function findUntagged(db: Db, ids: readonly number[]): Promise<UntaggedManifest[]> {
  return selectUntagged(db, { ids: JSON.stringify(ids) }) as Promise<UntaggedManifest[]>;
}

const selectIndexes = prepare((db, p: Params<{ repository: number; digest: string; limit: number }>) =>
  db
    .selectFrom('manifest_references')
    .select('manifest_id')
    .where('digest', '=', p('digest'))
    .where('repository_id', '=', p('repository'))
    .limit(p('limit')),
);

/** Row ids of indexes of the repository that list this manifest, at most `limit`, in no order. */
export async function listIndexesOf(
  db: Db,
  repository: number,
  digest: Digest,
  limit: number,
): Promise<number[]> {
  return (await selectIndexes(db, { repository, digest, limit })).map(({ manifest_id }) => manifest_id);
}

const selectRepositories = prepare((db, p: Params<{ after: string; to: string; limit: number }>) =>
  db
    .selectFrom('repositories')
    .select(['id', 'name'])
    .where('name', '>', p('after'))
    .where('name', '<', p('to'))
    .where('trashed_at', 'is', null)
    .orderBy('name')
    .limit(p('limit')),
);

/** Repositories, except those in the trash, whose names begin with `prefix` and follow `after` in byte order, at most `limit`. */
export function listRepositories(
  db: Db,
  prefix: string,
  after: string,
  limit: number,
): Promise<{ readonly id: number; readonly name: RepositoryName }[]> {
  // A character above all those of names.
  const range = { after: after || prefix, to: `${prefix}~` };
  return selectRepositories(db, { ...range, limit }) as Promise<{ id: number; name: RepositoryName }[]>;
}
