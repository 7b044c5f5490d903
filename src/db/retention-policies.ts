import { sql } from 'kysely';
import { namespaceOf, type RepositoryName } from '../oci/name.ts';
import { inJsonList } from './dialect.ts';
import { type Db, type Params, prepare } from './prepare.ts';

/** The owner of a policy: the registry, the account of a namespace, or a repository. */
export type PolicyOwner = 'registry' | { readonly account: number } | { readonly repository: number };

export interface PolicyRow {
  readonly level: 'registry' | 'namespace' | 'repository';
  /** The namespace's or the repository's name; null for the registry. */
  readonly name: string | null;
  /** As JSON. */
  readonly policy: string;
  readonly updated_at: number;
}

const levelOf = (level: PolicyRow['level']) =>
  sql<PolicyRow['level']>`cast(${sql.lit(level)} as text)`.as('level');

const selectFor = prepare((db, p: Params<{ names: string; namespaces: string }>) => {
  const own = ['retention_policies.policy', 'retention_policies.updated_at'] as const;
  return db
    .selectFrom('repositories')
    .innerJoin('retention_policies', 'retention_policies.repository_id', 'repositories.id')
    .select(['repositories.name', levelOf('repository'), ...own])
    .where('repositories.name', 'in', inJsonList(db, p('names')))
    .unionAll(
      db
        .selectFrom('accounts')
        .innerJoin('retention_policies', 'retention_policies.account_id', 'accounts.id')
        .select(['accounts.name', levelOf('namespace'), ...own])
        .where('accounts.name', 'in', inJsonList(db, p('namespaces'))),
    )
    .unionAll(
      db
        .selectFrom('retention_policies')
        .select([sql<string>`cast(null as text)`.as('name'), levelOf('registry'), ...own])
        .where('account_id', 'is', null)
        .where('repository_id', 'is', null),
    );
});

/** The nearest policy of each repository: its own, else that of its namespace, else that of the registry. */
export async function nearestPolicies(
  db: Db,
  names: readonly RepositoryName[],
): Promise<Map<RepositoryName, PolicyRow>> {
  const namespaces = new Set(names.map((name) => namespaceOf(name) ?? ''));
  const given = { names: JSON.stringify(names), namespaces: JSON.stringify([...namespaces]) };
  const rows = (await selectFor(db, given)) as PolicyRow[];
  const found = new Map(rows.map((row) => [`${row.level}:${row.name}`, row]));
  const nearest = new Map<RepositoryName, PolicyRow>();
  for (const name of names) {
    const policy =
      found.get(`repository:${name}`) ??
      found.get(`namespace:${namespaceOf(name)}`) ??
      found.get('registry:null');
    if (policy !== undefined) nearest.set(name, policy);
  }
  return nearest;
}

/** At most `limit` policies after the id `after`, by id. */
export async function listPolicies(
  db: Db,
  after: number,
  limit: number,
): Promise<(PolicyRow & { readonly id: number })[]> {
  const rows = await db
    .selectFrom('retention_policies')
    .leftJoin('accounts', 'accounts.id', 'retention_policies.account_id')
    .leftJoin('repositories', 'repositories.id', 'retention_policies.repository_id')
    .select(['retention_policies.id', 'policy', 'updated_at'])
    .select(['accounts.name as namespace', 'repositories.name as repository'])
    .where('retention_policies.id', '>', after)
    .orderBy('retention_policies.id')
    .limit(limit)
    .execute();
  return rows.map(({ namespace, repository, ...row }) => ({
    ...row,
    level: repository !== null ? 'repository' : namespace !== null ? 'namespace' : 'registry',
    name: repository ?? namespace,
  }));
}

/** Sets the owner's policy, which one transaction at a time may do. */
export async function setPolicy(db: Db, owner: PolicyOwner, policy: string, now: number): Promise<void> {
  await deletePolicy(db, owner);
  await db
    .insertInto('retention_policies')
    .values({ ...columnsOf(owner), policy, updated_at: now })
    .execute();
}

/** False when the owner has no policy. */
export async function deletePolicy(db: Db, owner: PolicyOwner): Promise<boolean> {
  const { account_id, repository_id } = columnsOf(owner);
  const deleted = await db
    .deleteFrom('retention_policies')
    .where('account_id', account_id === null ? 'is' : '=', account_id)
    .where('repository_id', repository_id === null ? 'is' : '=', repository_id)
    .returning('id')
    .execute();
  return deleted.length > 0;
}

function columnsOf(owner: PolicyOwner): { account_id: number | null; repository_id: number | null } {
  return {
    account_id: typeof owner === 'object' && 'account' in owner ? owner.account : null,
    repository_id: typeof owner === 'object' && 'repository' in owner ? owner.repository : null,
  };
}
