import { sql } from 'kysely';
import { namespaceOf, type RepositoryName } from '../oci/name.ts';
import { type Db, type Params, prepare } from './prepare.ts';

/** The owner of a rule: the account of a namespace, or a repository. */
export type RuleOwner = { readonly account: number } | { readonly repository: number };

export interface TagRuleRow {
  /** As in `oci/tag-rule.ts`. */
  readonly rule: string;
  readonly level: 'namespace' | 'repository';
  /** The namespace's or the repository's name. */
  readonly name: string;
}

/** Whether the registry has any rule; for `returning` of a statement that runs anyway. */
export const anyTagRule = sql<number>`case when exists (select 1 from tag_rules) then 1 else 0 end`;

const selectFor = prepare((db, p: Params<{ name: string; namespace: string }>) =>
  db
    .selectFrom('repositories')
    .innerJoin('tag_rules', 'tag_rules.repository_id', 'repositories.id')
    .select([
      'tag_rules.rule',
      'repositories.name',
      sql<'namespace' | 'repository'>`'repository'`.as('level'),
    ])
    .where('repositories.name', '=', p('name'))
    .unionAll(
      db
        .selectFrom('accounts')
        .innerJoin('tag_rules', 'tag_rules.account_id', 'accounts.id')
        .select(['tag_rules.rule', 'accounts.name', sql<'namespace' | 'repository'>`'namespace'`.as('level')])
        .where('accounts.name', '=', p('namespace')),
    ),
);

/** The rules of the repository, and those of its namespace. */
export function tagRulesFor(db: Db, name: RepositoryName): Promise<TagRuleRow[]> {
  return selectFor(db, { name, namespace: namespaceOf(name) ?? '' }) as Promise<TagRuleRow[]>;
}

/** At most `limit` rules of the registry after the id `after`, by id. */
export async function listTagRules(
  db: Db,
  after: number,
  limit: number,
): Promise<(TagRuleRow & { readonly id: number })[]> {
  const rows = await db
    .selectFrom('tag_rules')
    .leftJoin('accounts', 'accounts.id', 'tag_rules.account_id')
    .leftJoin('repositories', 'repositories.id', 'tag_rules.repository_id')
    .select([
      'tag_rules.id',
      'tag_rules.rule',
      'accounts.name as namespace',
      'repositories.name as repository',
    ])
    .where('tag_rules.id', '>', after)
    .orderBy('tag_rules.id')
    .limit(limit)
    .execute();
  return rows.map(({ id, rule, namespace, repository }) => ({
    id,
    rule,
    level: repository === null ? 'namespace' : 'repository',
    name: (repository ?? namespace) as string,
  }));
}

/** The owner's rules, at most `limit`, in byte order. */
export async function listOwnTagRules(db: Db, owner: RuleOwner, limit: number): Promise<string[]> {
  const { column, id } = columnOf(owner);
  const rows = await db
    .selectFrom('tag_rules')
    .select('rule')
    .where(column, '=', id)
    .orderBy('rule')
    .limit(limit)
    .execute();
  return rows.map(({ rule }) => rule);
}

export async function insertTagRule(db: Db, owner: RuleOwner, rule: string, now: number): Promise<void> {
  const { column, id } = columnOf(owner);
  await db
    .insertInto('tag_rules')
    .values({ account_id: null, repository_id: null, [column]: id, rule, created_at: now })
    .execute();
}

/** False when the owner has no such rule. */
export async function deleteTagRule(db: Db, owner: RuleOwner, rule: string): Promise<boolean> {
  const { column, id } = columnOf(owner);
  const deleted = await db
    .deleteFrom('tag_rules')
    .where(column, '=', id)
    .where('rule', '=', rule)
    .returning('id')
    .execute();
  return deleted.length > 0;
}

function columnOf(owner: RuleOwner): {
  readonly column: 'account_id' | 'repository_id';
  readonly id: number;
} {
  return 'account' in owner
    ? { column: 'account_id', id: owner.account }
    : { column: 'repository_id', id: owner.repository };
}
