// Lists repositories by ranges of names, to find those visible to a caller among many others.
import { sql } from 'kysely';
import type { RepositoryName } from '../oci/name.ts';
import { inJsonList } from './dialect.ts';
import { type Db, type Params, prepare } from './prepare.ts';
import type { RepositoryRow } from './repositories.ts';
import type { Visibility } from './schema.ts';

/** Names with a common prefix, or one name. */
export interface NameRange {
  readonly prefix: string;
  /** The prefix is the only name. */
  readonly exact: boolean;
  /** Only public repositories of the range. */
  readonly publicOnly: boolean;
}

/** Whether `outer` contains all names of `inner`, regardless of visibility. */
export function liesIn(inner: NameRange, outer: NameRange): boolean {
  return outer.exact ? inner.exact && inner.prefix === outer.prefix : inner.prefix.startsWith(outer.prefix);
}

/** The repositories visible to a caller: those in the ranges that also match. */
export interface Visible {
  readonly ranges: readonly NameRange[];
  matches(name: RepositoryName, visibility: Visibility): boolean;
}

/** All names. */
export const everyName: NameRange = { prefix: '', exact: false, publicOnly: false };

export const allVisible: Visible = { ranges: [everyName], matches: () => true };

export interface ListedRepository extends Pick<RepositoryRow, 'name' | 'visibility'> {
  /** 1 if it has a manifest and is not hidden, else 0. Others are not listed. */
  readonly shown: number;
}

interface Between {
  from: string;
  to: string;
  limit: number;
}

/** Returns every row it reads, so that `limit` bounds the work too. */
function listed(db: Db, p: Params<Pick<Between, 'limit'>>) {
  return db
    .selectFrom('repositories')
    .select(['name', 'visibility', isShown.as('shown')])
    .orderBy('name')
    .limit(p('limit'));
}

const isShown = sql<number>`
  case when trashed_at is null and exists (select 1 from manifests where manifests.repository_id = repositories.id)
    then 1 else 0 end
`;

const selectBetween = prepare((db, p: Params<Between>) =>
  listed(db, p).where('name', '>=', p('from')).where('name', '<', p('to')),
);

const selectPublicBetween = prepare((db, p: Params<Between>) =>
  listed(db, p)
    .where('visibility', '=', sql.lit('public' satisfies Visibility))
    .where('name', '>=', p('from'))
    .where('name', '<', p('to')),
);

/** Below and above every character of names. */
const [lowest, highest] = ['\u0001', '~'];

function boundsOf({ prefix, exact }: Omit<NameRange, 'publicOnly'>, after: string): Omit<Between, 'limit'> {
  return {
    // A single lower bound, so that the database reads no rows before it.
    from: after < prefix ? prefix : after + lowest,
    to: prefix + (exact ? lowest : highest),
  };
}

/** Repositories of the range with names after `after` in byte order, at most `limit`. */
export function listInRange(
  db: Db,
  range: NameRange,
  after: string,
  limit: number,
): Promise<ListedRepository[]> {
  const select = range.publicOnly ? selectPublicBetween : selectBetween;
  return select(db, { ...boundsOf(range, after), limit }) as Promise<ListedRepository[]>;
}

const selectNamed = prepare((db, p: Params<{ names: string; after: string; limit: number }>) =>
  listed(db, p)
    .where('name', 'in', inJsonList(db, p('names')))
    .where('name', '>', p('after')),
);

/** {@link listInRange} for a list of names, in one query. */
export function listNamed(
  db: Db,
  names: readonly string[],
  after: string,
  limit: number,
): Promise<ListedRepository[]> {
  return selectNamed(db, { names: JSON.stringify(names), after, limit }) as Promise<ListedRepository[]>;
}

/** A repository with its number of tags and manifests. */
export interface RepositorySummary extends RepositoryRow {
  readonly tags: number;
  readonly manifests: number;
}

const selectSummaries = prepare((db, p: Params<Between>) =>
  db
    .selectFrom('repositories')
    .select((select) => [
      'id',
      'name',
      'visibility',
      ...(['tags', 'manifests'] as const).map((table) =>
        select
          .selectFrom(table)
          .select((count) => count.fn.countAll<number>().as('count'))
          .whereRef(`${table}.repository_id`, '=', 'repositories.id')
          .as(table),
      ),
    ])
    .where('trashed_at', 'is', null)
    .where('name', '>=', p('from'))
    .where('name', '<', p('to'))
    .orderBy('name')
    .limit(p('limit')),
);

/** Repositories with names that start with `prefix` and follow `after` in byte order, including empty ones, at most `limit`. */
export function listSummaries(
  db: Db,
  prefix: string,
  after: string,
  limit: number,
): Promise<RepositorySummary[]> {
  const range = { prefix, exact: false };
  return selectSummaries(db, { ...boundsOf(range, after), limit }) as unknown as Promise<RepositorySummary[]>;
}
