// berth tag rule: rules that make tags immutable.
import { Argument, Option } from 'commander';
import {
  addTagRule,
  allTagRules,
  type ListedRule,
  type RuleOwnerName,
  removeTagRule,
  ruleOfTag,
  tagRulesOf,
} from '../administration/tag-rules.ts';
import { printRule } from '../core/immutable-tags.ts';
import { UsageError } from '../failure.ts';
import { tagRuleForm } from '../oci/tag-rule.ts';
import { listAnswer } from './answer.ts';
import type { CommandGroup } from './registry-command.ts';

const rule = new Argument('<rule>', `The rule: ${tagRuleForm}.`);

interface OwnerFlags {
  readonly namespace?: string;
  readonly repository?: string;
}

const owner = [
  new Option('--namespace <name>', 'For all repositories of this user or organisation.').conflicts(
    'repository',
  ),
  new Option('--repository <name>', 'For this repository.'),
];

export const tagRuleCommands: CommandGroup = {
  name: 'rule',
  description:
    'Manage the rules that make tags immutable: such a tag cannot be moved or deleted once it exists.',
  commands: [
    {
      name: 'add',
      description: 'Make the tags that a rule selects immutable, existing tags too.',
      arguments: [rule],
      options: owner,
      examples: [
        "berth tag rule add 'v*' --repository acme/app",
        "berth tag rule add 'semver except *-dev' --namespace acme",
        "berth tag rule add 'semver >=1.0.0' --namespace acme",
      ],
      async run(invocation, text: string, flags: OwnerFlags) {
        const named = ownerOf(flags);
        const { rule, madeRepository } = await addTagRule(await invocation.openForChanges(), named, text);
        const name = nameOf(named);
        if (madeRepository)
          invocation.warn(`${name} has no content yet; the rule holds from its first push on`);
        return { text: `tags of ${name} are immutable by the rule "${rule}"\n`, json: { rule, ...named } };
      },
    },
    {
      name: 'remove',
      description: 'Remove a rule; tags that no other rule selects may be moved and deleted again.',
      arguments: [rule],
      options: owner,
      examples: ["berth tag rule remove 'v*' --repository acme/app"],
      async run(invocation, rule: string, flags: OwnerFlags) {
        const named = ownerOf(flags);
        await removeTagRule(await invocation.openForChanges(), named, rule);
        return {
          text: `removed the rule "${rule}" of ${nameOf(named)}\n`,
          json: { rule, ...named, removed: true },
        };
      },
    },
    {
      name: 'list',
      description:
        'List all rules, those of the configuration too, or the rules that apply to one repository.',
      options: [new Option('--repository <name>', 'Only rules that apply to this repository.')],
      examples: ['berth tag rule list', 'berth tag rule list --repository acme/app'],
      async run(invocation, { repository }: { repository?: string }) {
        const database = await invocation.openForReading();
        const configured = invocation.config.tags.immutable;
        const rules =
          repository === undefined
            ? await Array.fromAsync(allTagRules(database, configured))
            : await tagRulesOf(database, configured, repository);
        return listAnswer(rules.map(asJson), {
          RULE: ({ rule }) => rule,
          FROM: ({ level, name }) => (name === null ? level : `${level} ${name}`),
        });
      },
    },
    {
      name: 'test',
      description: 'Print which rule makes a tag immutable, if any; the tag need not exist.',
      arguments: [new Argument('<repository:tag>', 'The tag, such as acme/app:v1.2.3.')],
      examples: ['berth tag rule test acme/app:v1.2.3'],
      async run(invocation, text: string) {
        const database = await invocation.openForReading();
        const found = await ruleOfTag(database, invocation.config.tags.immutable, text);
        const { repository, tag, rule: applied } = found;
        const by = applied && asJson(applied);
        return {
          text: `${repository}:${tag} is ${applied ? `immutable: ${printRule(applied)}` : 'not immutable'}\n`,
          json: { repository, tag, immutable: applied !== undefined, by: by ?? null },
        };
      },
    },
  ],
};

/** @throws UsageError */
function ownerOf({ namespace, repository }: OwnerFlags): RuleOwnerName {
  if (namespace !== undefined) return { namespace };
  if (repository !== undefined) return { repository };
  throw new UsageError('missing option: --namespace or --repository');
}

function nameOf(owner: RuleOwnerName): string {
  return 'namespace' in owner ? owner.namespace : owner.repository;
}

function asJson({ rule, level, name }: ListedRule) {
  return { rule, level, name: name ?? null };
}
