import { Refused } from '../access/refused.ts';
import { type AppliedRule, appliedRules, ruleFor } from '../core/immutable-tags.ts';
import type { Database } from '../db/database.ts';
import { lockTagRules } from '../db/locks.ts';
import type { Db } from '../db/prepare.ts';
import { findOrCreateRepository, lockRepositoryShared } from '../db/repositories.ts';
import {
  deleteTagRule,
  insertTagRule,
  listOwnTagRules,
  listTagRules,
  type RuleOwner,
  type TagRuleRow,
} from '../db/tag-rules.ts';
import { quote } from '../oci/digest.ts';
import { printName } from '../oci/hidden-name.ts';
import type { RepositoryName } from '../oci/name.ts';
import { asTag, type Tag } from '../oci/reference.ts';
import { asTagRule, type TagRule, tagRuleForm } from '../oci/tag-rule.ts';
import { accountNamed } from './accounts.ts';
import { type ActingDatabase, change } from './change.ts';
import { parseRepositoryName } from './repositories.ts';

/** The owner of a rule, as a user names it. */
export type RuleOwnerName = { readonly namespace: string } | { readonly repository: string };

/** A rule that a list shows: `name` is absent for the configuration, and a message's name for a repository in the trash. */
export interface ListedRule {
  readonly rule: string;
  readonly level: AppliedRule['level'];
  readonly name: string | undefined;
}

/** Rules that one namespace or one repository may have: each push that moves a tag reads them. */
const maxRules = 100;

/**
 * Makes tags immutable from now on, existing tags too. Creates a missing repository, so that the rule can precede its first push.
 * Adding a rule again changes nothing.
 * @throws Refused
 */
export function addTagRule(
  database: ActingDatabase,
  owner: RuleOwnerName,
  text: string,
): Promise<{ readonly rule: string; readonly madeRepository: boolean }> {
  const rule = parseTagRule(text);
  return change(database, async (db, record) => {
    const now = database.clock();
    const found = await findOwner(db, owner);
    const id = found.id ?? (await findOrCreateRepository(db, found.name as RepositoryName, now));
    const named = ownerOf(owner, id);
    await lockTagRules(db);
    const own = await listOwnTagRules(db, named, maxRules);
    if (!own.includes(rule)) {
      if (own.length === maxRules) {
        throw new Refused(`${printOwner(owner)} has ${maxRules} rules, which is the limit; remove one first`);
      }
      await insertTagRule(db, named, rule, now);
      await record('tag.rule.add', detailOf(owner, rule), subjectOf(owner, id));
    }
    return { rule, madeRepository: found.id === undefined };
  });
}

/** @throws Refused */
export async function removeTagRule(
  database: ActingDatabase,
  owner: RuleOwnerName,
  text: string,
): Promise<void> {
  const rule = parseTagRule(text);
  await change(database, async (db, record) => {
    const { id, name } = await findOwner(db, owner);
    if (id === undefined) throw new Refused(`there is no repository ${name}`);
    const named = ownerOf(owner, id);
    await lockTagRules(db);
    if (await deleteTagRule(db, named, rule)) {
      return record('tag.rule.remove', detailOf(owner, rule), subjectOf(owner, id));
    }
    const others = (await listOwnTagRules(db, named, maxRules)).map((other) => `"${other}"`);
    const existing = others.length === 0 ? 'no rules' : others.join(', ');
    throw new Refused(`${printOwner(owner)} has no rule "${rule}" (it has ${existing})`);
  });
}

/** All rules: those of the configuration, then those of namespaces and repositories by age. */
export async function* allTagRules(
  { read }: Pick<Database, 'read'>,
  configured: readonly TagRule[],
): AsyncGenerator<ListedRule> {
  for (const rule of configured) yield { rule, level: 'configuration', name: undefined };
  for (let after = 0; ; ) {
    const page: (TagRuleRow & { readonly id: number })[] = await listTagRules(read, after, 1_000);
    for (const { rule, level, name } of page) yield { rule, level, name: printName(name) };
    const last = page.at(-1);
    if (last === undefined) return;
    after = last.id;
  }
}

/** The rules of all levels that apply to a repository, which need not exist. @throws Refused */
export async function tagRulesOf(
  { read }: Pick<Database, 'read'>,
  configured: readonly TagRule[],
  repository: string,
): Promise<AppliedRule[]> {
  return appliedRules(read, configured, parseRepositoryName(repository));
}

/**
 * The rule that makes a tag immutable; the tag need not exist.
 * @param text `acme/app:v1`
 * @throws Refused
 */
export async function ruleOfTag(
  { read }: Pick<Database, 'read'>,
  configured: readonly TagRule[],
  text: string,
): Promise<{ repository: RepositoryName; tag: Tag; rule: AppliedRule | undefined }> {
  const colon = text.lastIndexOf(':');
  const tag = asTag(text.slice(colon + 1));
  if (colon === -1 || tag === undefined) {
    throw new Refused(`${quote(text)} is not a repository with a tag, such as acme/app:v1.2.3`);
  }
  const repository = parseRepositoryName(text.slice(0, colon));
  return { repository, tag, rule: ruleFor(await appliedRules(read, configured, repository), tag) };
}

/** @throws Refused */
function parseTagRule(text: string): TagRule {
  const rule = asTagRule(text);
  if (rule !== undefined) return rule;
  throw new Refused(`${quote(text)} is not a rule for tags: a rule is ${tagRuleForm}`);
}

/** Locks the owner against deletion. `name` only for a repository, whose id is absent if it does not exist. @throws Refused */
async function findOwner(
  db: Db,
  owner: RuleOwnerName,
): Promise<{ readonly id: number | undefined; readonly name?: RepositoryName }> {
  if ('namespace' in owner)
    return { id: (await accountNamed(db, owner.namespace, 'organisation', 'user')).id };
  const name = parseRepositoryName(owner.repository);
  return { id: await lockRepositoryShared(db, name), name };
}

function ownerOf(owner: RuleOwnerName, id: number): RuleOwner {
  return 'namespace' in owner ? { account: id } : { repository: id };
}

function printOwner(owner: RuleOwnerName): string {
  return 'namespace' in owner ? `namespace ${owner.namespace}` : `repository ${owner.repository}`;
}

function detailOf(owner: RuleOwnerName, rule: string): Record<string, string> {
  return 'namespace' in owner ? { rule, namespace: owner.namespace } : { rule };
}

function subjectOf(owner: RuleOwnerName, repositoryId: number) {
  return 'namespace' in owner ? {} : { repository: owner.repository, repositoryId };
}
