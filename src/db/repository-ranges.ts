// Repositories by ranges of their names: those that one caller may see among the many of others.
import { sql } from 'kysely';
import type { RepositoryName } from '../oci/name.ts';
import { inJsonList } from './dialect.ts';
import { type Db, type Params, prepare } from './prepare.ts';
import type { RepositoryRow } from './repositories.ts';
import type { Visibility } from './schema.ts';

/** Names that start alike, or one name. */
export interface NameRange {
  readonly prefix: string;
  /** The prefix is a whole name, and the only one. */
  readonly exact: boolean;
  /** Only the public ones among them. */
  readonly publicOnly: boolean;
}

/** Whether all names of one range are in the other, public or not. */
export function liesIn(inner: NameRange, outer: NameRange): boolean {
  return outer.exact ? inner.exact && inner.prefix === outer.prefix : inner.prefix.startsWith(outer.prefix);
}

/** Which repositories somebody may know of: of those in the ranges the ones that match. */
export interface Visible {
  readonly ranges: readonly NameRange[];
  matches(name: RepositoryName, visibility: Visibility): boolean;
}

/** All names. */
export const everyName: NameRange = { prefix: '', exact: false, publicOnly: false };

export const allVisible: Visible = { ranges: [everyName], matches: () => true };

export interface ListedRepository extends Pick<RepositoryRow, 'name' | 'visibility'> {
  /** 1 once it has a manifest: unfinished uploads and emptied repositories are nobody's to list. */
  readonly shown: number;
}

interface Between {
  from: string;
  to: string;
  limit: number;
}

/** Every row that is looked at is one of the answer, so that `limit` bounds the work, not the answer alone. */
function listed(db: Db, p: Params<Pick<Between, 'limit'>>) {
  return db
    .selectFrom('repositories')
    .select(['name', 'visibility', hasManifest.as('shown')])
    .orderBy('name')
    .limit(p('limit'));
}

const hasManifest = sql<number>`
  case when exists (select 1 from manifests where manifests.repository_id = repositories.id) then 1 else 0 end
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

/** Below and above every character that a name may have. */
const [lowest, highest] = ['\u0001', '~'];

function boundsOf({ prefix, exact }: Omit<NameRange, 'publicOnly'>, after: string): Omit<Between, 'limit'> {
  return {
    // One bound below, not two: a database looks no further back than there.
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

/** The same of these names, in one query however many they are. */
export function listNamed(
  db: Db,
  names: readonly string[],
  after: string,
  limit: number,
): Promise<ListedRepository[]> {
  return selectNamed(db, { names: JSON.stringify(names), after, limit }) as Promise<ListedRepository[]>;
}

/** A repository, and how much is in it. */
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
    .where('name', '>=', p('from'))
    .where('name', '<', p('to'))
    .orderBy('name')
    .limit(p('limit')),
);

/** Repositories with names that start with `prefix` and come after `after` in byte order, empty ones too, at most `limit`. */
export function listSummaries(
  db: Db,
  prefix: string,
  after: string,
  limit: number,
): Promise<RepositorySummary[]> {
  const range = { prefix, exact: false };
  return selectSummaries(db, { ...boundsOf(range, after), limit }) as unknown as Promise<RepositorySummary[]>;
}
