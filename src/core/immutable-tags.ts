// Refuses changes of immutable tags: existing tags that a rule selects. Everything that moves or deletes tags asks here.
import { Work } from '../db/in-turns.ts';
import { nextTurnInTransaction } from '../db/next-turn.ts';
import type { Db } from '../db/prepare.ts';
import { sliceSize, untilDone } from '../db/slices.ts';
import { tagRulesFor } from '../db/tag-rules.ts';
import { listTags, listTagsOf } from '../db/tags.ts';
import { RegistryError } from '../oci/errors.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Tag } from '../oci/reference.ts';
import { asTagRule, selects, type TagRule } from '../oci/tag-rule.ts';

/** A rule that applies to a repository. */
export interface AppliedRule {
  readonly rule: TagRule;
  readonly level: 'repository' | 'namespace' | 'configuration';
  /** The repository's or the namespace's name. */
  readonly name: string | undefined;
}

/** `rule "v*" of repository acme/app`. */
export function printRule({ rule, level, name }: AppliedRule): string {
  return `rule "${rule}" of ${name === undefined ? `the ${level}` : `${level} ${name}`}`;
}

/** @param configured the rules of the setting `tags.immutable`, which apply to every repository */
export async function appliedRules(
  db: Db,
  configured: readonly TagRule[],
  repository: RepositoryName,
): Promise<AppliedRule[]> {
  const rows = await tagRulesFor(db, repository);
  const stored = rows.map(({ rule: text, level, name }) => {
    const rule = asTagRule(text);
    // A rule that this version cannot read must not make tags mutable.
    if (rule === undefined) throw new Error(`${level} ${name} has an invalid tag rule: ${text}`);
    return { rule, level, name };
  });
  return [
    ...stored,
    ...configured.map((rule) => ({ rule, level: 'configuration' as const, name: undefined })),
  ];
}

/** The first rule that selects the tag. */
export function ruleFor(rules: readonly AppliedRule[], tag: Tag): AppliedRule | undefined {
  return rules.find(({ rule }) => selects(rule, tag));
}

/**
 * Refuses to move or delete these existing tags if one is immutable. Must run in the transaction of the change, after the tags are
 * locked; it may run after the change itself, which the error rolls back.
 *
 * @param advice ends the message: what to do instead
 * @throws RegistryError `DENIED`
 */
export async function refuseImmutable(
  db: Db,
  configured: readonly TagRule[],
  repository: RepositoryName,
  tags: readonly Tag[],
  advice = '',
): Promise<void> {
  if (tags.length > 0) await refuseSelected(await appliedRules(db, configured, repository), tags, advice);
}

/**
 * {@link refuseImmutable} for the deletion of all tags of a manifest, or of the whole repository. The tag rules must be locked
 * shared (`lockTagRulesShared`), and the manifest or the repository.
 *
 * @param manifest id; absent for all tags of the repository
 * @throws RegistryError `DENIED`
 */
export async function refuseIfTaggedImmutably(
  db: Db,
  configured: readonly TagRule[],
  repository: RepositoryName,
  manifest?: number,
): Promise<void> {
  const rules = await appliedRules(db, configured, repository);
  if (rules.length === 0) return;
  let after = '';
  await untilDone(async () => {
    const tags =
      manifest === undefined
        ? await listTags(db, repository, after, sliceSize)
        : await listTagsOf(db, manifest, after, sliceSize);
    await refuseSelected(rules, tags as Tag[], '');
    after = tags.at(-1) ?? after;
    return tags.length;
  });
}

async function refuseSelected(
  rules: readonly AppliedRule[],
  tags: readonly Tag[],
  advice: string,
): Promise<void> {
  // Hundreds of rules and thousands of tags take a second.
  const work = new Work();
  for (const tag of tags) {
    if (work.turnIsOver) await work.wait(nextTurnInTransaction());
    const applied = ruleFor(rules, tag);
    if (applied === undefined) continue;
    const message = `tag ${tag} is immutable: ${printRule(applied)}${advice}`;
    // In the message and not in the detail, because docker prints only the message.
    throw new RegistryError('DENIED', { tag, rule: applied.rule }, { message });
  }
}
