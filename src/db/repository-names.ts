// Finds repositories by a name that a client sent: their own, or an alias. An alias never hides a repository that has the name, and is
// not found while its repository is in the trash.
import { type Expression, sql } from 'kysely';
import type { RepositoryName } from '../oci/name.ts';
import { jsonList } from './dialect.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';
import type { RepositoryRow } from './repositories.ts';

/** The repository that a name stands for. */
export interface NamedRepository extends RepositoryRow {
  /** When the name ceases to work, in milliseconds since 1970; `undefined`: it is no alias but the repository's own name. */
  readonly aliasUntil: number | undefined;
}

/** A row of `repositories` with {@link aliasUntil}. */
type FoundRow = Omit<NamedRepository, 'aliasUntil' | 'name'> & {
  readonly name: string;
  readonly aliasUntil: number | null;
};

export function toNamed({ id, name, visibility, aliasUntil }: FoundRow): NamedRepository {
  return { id, name: name as RepositoryName, visibility, aliasUntil: aliasUntil ?? undefined };
}

/** SQL of the id of the repository that a name stands for. The alias is looked up only if no repository has the name. */
export function idOfName(name: Expression<string | null>, now: Expression<number>) {
  return sql<number>`coalesce(
    (select named.id from repositories as named where named.name = ${name}),
    (select renamed.id from repository_aliases as alias join repositories as renamed on renamed.id = alias.repository_id
      where alias.name = ${name} and alias.expires_at > ${now} and renamed.trashed_at is null)
  )`;
}

/** SQL of {@link NamedRepository.aliasUntil} of the row of `repositories` that {@link idOfName} found. */
export function aliasUntil(name: Expression<string | null>) {
  return sql<number | null>`case when repositories.name <> ${name}
    then (select alias.expires_at from repository_aliases as alias where alias.name = ${name}) end`;
}

const select = prepare((db, p: Params<{ name: string; now: number }>) =>
  db
    .selectFrom('repositories')
    .select(['id', 'name', 'visibility', aliasUntil(p('name')).as('aliasUntil')])
    .where('id', '=', idOfName(p('name'), p('now'))),
);

/** @param now milliseconds since 1970; an alias that has expired by then is not found */
export async function findNamed(
  db: Db,
  name: RepositoryName,
  now: number,
): Promise<NamedRepository | undefined> {
  const row = await first(select(db, { name, now }));
  return row && toNamed(row as FoundRow);
}

const selectByAlias = prepare((db, p: Params<{ name: string; now: number }>) =>
  db
    .selectFrom('repository_aliases as alias')
    .innerJoin('repositories', 'repositories.id', 'alias.repository_id')
    .select(['repositories.id', 'repositories.name', 'repositories.visibility'])
    .select('alias.expires_at as aliasUntil')
    .where('alias.name', '=', p('name'))
    .where('alias.expires_at', '>', p('now'))
    .where('repositories.trashed_at', 'is', null)
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('repositories as named').select('named.id').where('named.name', '=', p('name')))),
    ),
);

/** The repository of which the name is an alias. Does the same work for a name that a repository has as for a free one. */
export async function findByAlias(
  db: Db,
  name: RepositoryName,
  now: number,
): Promise<NamedRepository | undefined> {
  const row = await first(selectByAlias(db, { name, now }));
  return row && toNamed(row as FoundRow);
}

// Joins on indexed columns alone: for any other condition PostgreSQL would read all repositories or all aliases.
const selectAll = prepare((db, p: Params<{ names: string; now: number }>) =>
  db
    .selectFrom(jsonList(db, p('names')).as('given'))
    .leftJoin('repositories as named', 'named.name', 'given.value')
    .leftJoin('repository_aliases as alias', 'alias.name', 'given.value')
    .leftJoin('repositories as renamed', (join) =>
      join.onRef('renamed.id', '=', 'alias.repository_id').on('renamed.trashed_at', 'is', null),
    )
    .select(({ fn }) => [
      'given.value as asked',
      fn.coalesce('named.id', 'renamed.id').as('id'),
      fn.coalesce('named.name', 'renamed.name').as('name'),
      fn.coalesce('named.visibility', 'renamed.visibility').as('visibility'),
      sql<number | null>`case when named.id is null then alias.expires_at end`.as('aliasUntil'),
    ])
    .where(({ and, eb, or }) =>
      or([
        eb('named.id', 'is not', null),
        and([eb('renamed.id', 'is not', null), eb('alias.expires_at', '>', p('now'))]),
      ]),
    ),
);

/** The repositories that these names stand for, by these names. */
export async function findAllNamed(
  db: Db,
  names: readonly RepositoryName[],
  now: number,
): Promise<Map<RepositoryName, NamedRepository>> {
  const rows = await selectAll(db, { names: JSON.stringify(names), now });
  return new Map(rows.map((row) => [row.asked as RepositoryName, toNamed(row as FoundRow)]));
}
