import { sql } from 'kysely';
import { type Namespace, namespaceOf, type RepositoryName } from '../oci/name.ts';
import { inJsonList } from './dialect.ts';
import { type Db, first, prepare } from './prepare.ts';
import { ofNamespace, ofRepository, sumOf } from './usage.ts';

/** Limits of a namespace or a repository; 0: none, null: the configured default. */
export interface Quota {
  readonly bytes: number | null;
  readonly tags: number | null;
  /** Always null for a repository. */
  readonly repositories: number | null;
}

/** The owner of a quota: the account of a namespace, or a repository. */
export type QuotaOwner = { readonly account: number } | { readonly repository: number };

/** Whether the registry has any quota; for `returning` of a statement that runs anyway. */
export const anyQuota = sql<number>`case when exists (select 1 from quotas) then 1 else 0 end`;

/** The result of a statement that returns {@link anyQuota} for the row it changed. */
export interface WithAnyQuota {
  readonly any_quota: number;
}

/** The usage of a namespace or a repository, with its own quota. */
export interface QuotaState {
  readonly level: 'namespace' | 'repository';
  readonly max_bytes: number | null;
  readonly max_tags: number | null;
  readonly max_repositories: number | null;
  readonly bytes: number;
  readonly tags: number;
  readonly repositories: number;
  /** How many of the given blobs it holds, and the bytes of the recorded ones that it does not hold. */
  readonly held: number;
  readonly missing: number;
}

interface Asked {
  repository: number;
  namespace: string;
  digests: string;
}

const selectStates = prepare<Asked, QuotaState>((db, p) => {
  const digests = inJsonList(db, p('digests'));
  const level = (
    name: 'namespace' | 'repository',
    quota: ReturnType<typeof sql>,
    usage: ReturnType<typeof ofNamespace>,
    holder: ReturnType<typeof sql>,
  ) => sql`
    select ${sql.lit(name)} as level, own.bytes as max_bytes, own.tags as max_tags, own.repositories as max_repositories,
      used.bytes, used.tags, used.repositories,
      (select count(*) from ${holder} and held.digest in ${digests}) as held,
      (
        select cast(coalesce(sum(size), 0) as bigint) from blobs
        where digest in ${digests} and not exists (select 1 from ${holder} and held.digest = blobs.digest)
      ) as missing
    from (
      select ${sumOf('bytes')} as bytes, ${sumOf('tags')} as tags, ${sumOf('repositories')} as repositories from ${usage} as usage
    ) as used left join ${quota} on true`;
  const query = sql<QuotaState>`
    ${level(
      'namespace',
      sql`(
        select quotas.* from quotas join accounts on accounts.id = quotas.account_id where accounts.name = ${p('namespace')}
      ) as own`,
      ofNamespace(p('namespace')),
      sql`namespace_blobs as held where held.namespace = ${p('namespace')}`,
    )}
    union all
    ${level(
      'repository',
      sql`(select * from quotas where repository_id = ${p('repository')}) as own`,
      ofRepository(p('repository')),
      sql`repository_blobs as held where held.repository_id = ${p('repository')}`,
    )}`;
  return { compile: () => query.compile(db) };
});

/** The states of a repository and its namespace. @param digests blobs whose bytes it would get */
export async function findQuotaStates(
  db: Db,
  { id, name }: { readonly id: number; readonly name: RepositoryName },
  digests: readonly string[],
): Promise<QuotaState[]> {
  const asked = { repository: id, namespace: namespaceOf(name) ?? '', digests: JSON.stringify(digests) };
  const states = await selectStates(db, asked);
  // PostgreSQL returns counts as text.
  return states.map((state) => ({ ...state, held: Number(state.held) }));
}

const selectAny = prepare<object, WithAnyQuota>((db) => db.selectNoFrom(anyQuota.as('any_quota')));

/** Whether the registry has any quota besides the configured ones. */
export async function hasQuotas(db: Db): Promise<boolean> {
  return (await first(selectAny(db, {})))?.any_quota === 1;
}

/** A quota with its owner's name. */
export interface ListedQuota extends Quota {
  readonly id: number;
  readonly level: 'namespace' | 'repository';
  readonly name: Namespace | RepositoryName;
}

/** At most `limit` quotas after the id `after`, by id. */
export async function listQuotas(db: Db, after: number, limit: number): Promise<ListedQuota[]> {
  const rows = await db
    .selectFrom('quotas')
    .leftJoin('accounts', 'accounts.id', 'quotas.account_id')
    .leftJoin('repositories', 'repositories.id', 'quotas.repository_id')
    .select(['quotas.id', 'quotas.bytes', 'quotas.tags', 'quotas.repositories'])
    .select(['accounts.name as namespace', 'repositories.name as repository'])
    .where('quotas.id', '>', after)
    .orderBy('quotas.id')
    .limit(limit)
    .execute();
  return rows.map(({ namespace, repository, ...quota }) => ({
    ...quota,
    level: repository === null ? 'namespace' : 'repository',
    name: (repository ?? namespace) as Namespace | RepositoryName,
  }));
}

function columnOf(owner: QuotaOwner) {
  return 'account' in owner
    ? ({ column: 'account_id', id: owner.account } as const)
    : ({ column: 'repository_id', id: owner.repository } as const);
}

/** Sets the given limits and keeps the others. */
export async function setQuota(
  db: Db,
  owner: QuotaOwner,
  limits: Partial<Quota>,
  now: number,
): Promise<void> {
  const { column, id } = columnOf(owner);
  const all = { bytes: null, tags: null, repositories: null, ...limits };
  await db
    .insertInto('quotas')
    .values({ account_id: null, repository_id: null, ...all, [column]: id, created_at: now })
    .onConflict((conflict) => conflict.column(column).doUpdateSet(limits))
    .execute();
}

/** False when the owner has no quota. */
export async function deleteQuota(db: Db, owner: QuotaOwner): Promise<boolean> {
  const { column, id } = columnOf(owner);
  return (await db.deleteFrom('quotas').where(column, '=', id).returning('id').execute()).length > 0;
}
