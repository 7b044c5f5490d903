// berth retention: which tags are kept, and why.
import { Argument, Option } from 'commander';
import {
  deleteRetentionPolicy,
  explainRetention,
  governedBy,
  type ListedPolicy,
  type PolicyOwnerName,
  policyOf,
  printOwnerName,
  retentionPolicies,
  setRetentionPolicy,
} from '../administration/retention.ts';
import { showTime } from '../administration/show-time.ts';
import { parseRetentionPolicy, type RetentionPolicy, writtenPolicy } from '../config/retention-policy.ts';
import { readTextFile } from '../config/text-file.ts';
import { formatDuration } from '../config/units.ts';
import { deletionRulesOf } from '../core/delete-image.ts';
import { printRule } from '../core/immutable-tags.ts';
import type { Verdict } from '../core/retention/judge.ts';
import { type Judgement, unknownUse } from '../core/retention/retain.ts';
import { printOwner, runRetention, termsOf } from '../core/retention/run.ts';
import { keepMovesFor } from '../core/tag-history.ts';
import { Failure, UsageError } from '../failure.ts';
import { holdJob } from '../jobs/hold-job.ts';
import { type Answer, describeFields, listAnswer } from './answer.ts';
import { interruptible } from './interrupt.ts';
import type { Invocation } from './invocation.ts';
import { subcommands } from './registry-command.ts';
import { shortDigest } from './table.ts';

interface OwnerFlags {
  readonly registry?: true;
  readonly namespace?: string;
  readonly repository?: string;
}

const owner = [
  new Option('--registry', 'The policy of the whole registry.').conflicts(['namespace', 'repository']),
  new Option('--namespace <name>', 'The policy of all repositories of this user or organisation.').conflicts(
    'repository',
  ),
  new Option('--repository <name>', 'The policy of this repository.'),
];

const policyFile = new Option(
  '--policy <file>',
  'The file with the policy, YAML or JSON.',
).makeOptionMandatory();
const repository = new Argument('<repository>', 'The repository, such as acme/app.');

export const retentionCommand = subcommands(
  {
    name: 'set',
    description:
      'Set a retention policy. The nearest one applies to a repository: its own, else that of its namespace, else that of the registry.',
    options: [policyFile, ...owner],
    examples: [
      'berth retention set --policy nightly.yaml --repository acme/nightly',
      'berth retention set --policy default.yaml --registry',
    ],
    async run(invocation, { policy: file, ...flags }: { policy: string } & OwnerFlags) {
      const named = ownerOf(flags);
      const policy = readPolicy(file);
      const database = await invocation.openForChanges();
      await setRetentionPolicy(database, named, policy, keepMovesFor(invocation.config));
      const when = formatDuration(invocation.config.retention.every);
      return {
        text: `set the retention policy of ${printOwnerName(named)}; it is applied every ${when}; \`berth retention plan\` prints what it removes\n`,
        json: { ...asLevel(named), policy: writtenPolicy(policy) },
      };
    },
  },
  {
    name: 'show',
    description: 'Print the retention policy that applies to a repository.',
    arguments: [repository],
    examples: ['berth retention show acme/app'],
    async run(invocation, name: string) {
      const { policy, from } = await policyOf(await invocation.openForReading(), name);
      const written = writtenPolicy(policy);
      return {
        text: `# the policy of ${printOwner(from)}\n${JSON.stringify(written, null, 2)}\n`,
        json: { ...from, policy: written },
      };
    },
  },
  {
    name: 'list',
    description: 'List all retention policies.',
    async run(invocation) {
      const policies = await Array.fromAsync(retentionPolicies(await invocation.openForReading()));
      return listAnswer(policies.map(policyAsJson), {
        OWNER: ({ level, name }) => (name === null ? level : `${level} ${name}`),
        RULES: ({ policy }) => policy.rules.length,
        UNTAGGED: ({ policy }) => policy.untagged?.removeAfter ?? 'kept',
        SET: ({ updatedAt }) => updatedAt,
      });
    },
  },
  {
    name: 'delete',
    description: 'Delete a retention policy; a policy of a wider level may then apply.',
    options: owner,
    examples: ['berth retention delete --repository acme/nightly'],
    async run(invocation, flags: OwnerFlags) {
      const named = ownerOf(flags);
      await deleteRetentionPolicy(await invocation.openForChanges(), named);
      return {
        text: `deleted the retention policy of ${printOwnerName(named)}\n`,
        json: { ...asLevel(named), deleted: true },
      };
    },
  },
  {
    name: 'explain',
    description:
      'Print for each tag of a repository which rule keeps it or removes it, and the manifests without tags to remove.',
    arguments: [repository],
    examples: ['berth retention explain acme/app', 'berth retention explain acme/app --json'],
    async run(invocation, name: string) {
      const { policy } = await policyOf(await invocation.openForReading(), name);
      return explain(invocation, name, policy);
    },
  },
  {
    name: 'simulate',
    description: 'The same as `explain`, with the policy of a file instead of the one that applies.',
    arguments: [repository],
    options: [policyFile],
    examples: ['berth retention simulate acme/app --policy stricter.yaml'],
    run: (invocation, name: string, { policy }: { policy: string }) =>
      explain(invocation, name, readPolicy(policy)),
  },
  {
    name: 'plan',
    description: 'List the tags and manifests that a run would remove now.',
    arguments: [new Argument('[name]', 'Only this namespace or repository, such as acme or acme/app.')],
    examples: ['berth retention plan', 'berth retention plan acme --json'],
    async run(invocation, name?: string) {
      const database = await invocation.openForReading();
      const terms = await termsOn(invocation, database);
      const planned: (ReturnType<typeof asJson> & { readonly repository: string })[] = [];
      for await (const { name: repository, policy } of await governedBy(database, name)) {
        for await (const judgement of explainRetention(terms, repository, policy)) {
          if (judgement.removed) planned.push({ repository, ...asJson(judgement, policy) });
        }
      }
      const list = listAnswer(planned, { REPOSITORY: ({ repository }) => repository, ...columns });
      return { text: `${list.text}${countsOf(planned)} would be removed\n`, json: planned };
    },
  },
  {
    name: 'run',
    description: 'Apply the retention policies now, also beside running servers.',
    arguments: [new Argument('[name]', 'Only to this namespace or repository, such as acme or acme/app.')],
    examples: ['berth retention run', 'berth retention run acme/nightly'],
    async run(invocation, name?: string) {
      const { config } = invocation;
      const database = await invocation.openForChanges();
      await using held = await holdJob(database, 'retention', 2_000);
      if (held === undefined) {
        throw new Failure('another process applies the retention policies; try again when it has ended');
      }
      const deletions = deletionRulesOf(config);
      const parts = { database, deletions, by: database.by, keepMovesFor: keepMovesFor(config) };
      const json = await interruptible('run it again to continue', (signal) =>
        governedBy(database, name).then((repositories) =>
          runRetention(parts, repositories, AbortSignal.any([signal, held.lost])),
        ),
      );
      const { repositories, tags, manifests } = json;
      return {
        text: describeFields({ repositories, 'tags removed': tags, 'manifests removed': manifests }),
        json,
      };
    },
  },
);

async function explain(invocation: Invocation, name: string, policy: RetentionPolicy): Promise<Answer> {
  const terms = await termsOn(invocation, await invocation.openForReading());
  const judged: ReturnType<typeof asJson>[] = [];
  for await (const judgement of explainRetention(terms, name, policy)) judged.push(asJson(judgement, policy));
  const unknown = unknownUse(terms, policy);
  if (unknown !== undefined) {
    invocation.warn(
      `no manifest without tags is removed: ${unknown === 'pulls' ? 'pulls' : 'moves of tags'} are recorded for a shorter time than untagged.removeAfter`,
    );
  }
  const { text, json } = listAnswer(judged, { ACTION: ({ action }) => action, ...columns });
  const removed = judged.filter(({ action }) => action === 'remove');
  return { text: `${text}${countsOf(removed)} would be removed\n`, json };
}

function termsOn({ config }: Invocation, database: Parameters<typeof termsOf>[0]) {
  return termsOf(database, config.tags.immutable, keepMovesFor(config));
}

const columns = {
  TAG: ({ tag }: ReturnType<typeof asJson>) => tag ?? 'untagged',
  MANIFEST: ({ digest }: ReturnType<typeof asJson>) => shortDigest(digest),
  REASON: ({ reason }: ReturnType<typeof asJson>) => reason,
};

function countsOf(removed: readonly { readonly tag: string | null }[]): string {
  const tags = removed.filter(({ tag }) => tag !== null).length;
  return `${tags} tags and ${removed.length - tags} manifests without tags`;
}

function asJson(judgement: Judgement, policy: RetentionPolicy) {
  if (judgement.kind === 'manifest') {
    const { digest, usedAt, partTags } = judgement.manifest;
    const after = formatDuration(policy.untagged?.removeAfter ?? 0);
    const parts = partTags.length === 0 ? '' : `; with it ${partTags.map(({ tag }) => tag).join(', ')}`;
    return {
      ...{ action: 'remove', tag: null, digest, rules: [] },
      reason: `without a tag and unused since ${showTime(usedAt)} (removeAfter ${after})${parts}`,
    };
  }
  const { facts, verdict } = judgement;
  return {
    action: 'kept' in verdict ? 'keep' : 'remove',
    ...{ tag: facts.tag, digest: facts.digest },
    rules: 'removedBy' in verdict ? verdict.removedBy : 'rule' in verdict.kept ? [verdict.kept.rule] : [],
    reason: reasonOf(verdict, judgement.facts, policy),
  };
}

function reasonOf(
  verdict: Verdict,
  { pushedAt, pulledAt = 0 }: { readonly pushedAt: number; readonly pulledAt?: number | undefined },
  { rules }: RetentionPolicy,
): string {
  if ('removedBy' in verdict) {
    return verdict.removedBy.map((rule) => `rule ${rule}: ${unmet(rules[rule - 1]!.keep)}`).join('; ');
  }
  const { kept } = verdict;
  switch (kept.because) {
    case 'immutable':
      return `immutable: ${printRule(kept.by)}`;
    case 'part':
      return `belongs to ${kept.of}`;
    case 'unselected':
      return 'no rule selects it';
    case 'all':
      return `rule ${kept.rule}: keep all`;
    case 'newest': {
      const { keep } = rules[kept.rule - 1]!;
      return `rule ${kept.rule}: ${keep === 'all' ? '' : newest(keep)}`;
    }
    case 'pushed':
      return `rule ${kept.rule}: pushed ${showTime(pushedAt)}, ${within(rules[kept.rule - 1]!.keep, 'pushedWithin', 'pulledWithin')}`;
    case 'pulled':
      return `rule ${kept.rule}: pulled ${showTime(pulledAt)}, ${within(rules[kept.rule - 1]!.keep, 'pulledWithin')}`;
    case 'pulls-unknown':
      return `rule ${kept.rule}: pulls are recorded for a shorter time than pulledWithin`;
  }
}

type Conditions = Exclude<RetentionPolicy['rules'][number]['keep'], 'all'>;

function newest({ newest: count, by = 'push' }: Conditions): string {
  return `one of the newest ${count} by ${by}`;
}

/** The time within which the conditions of a rule keep a tag; a push counts for `pulledWithin` too. */
function within(keep: Conditions | 'all', ...conditions: ('pushedWithin' | 'pulledWithin')[]): string {
  const times = keep === 'all' ? [] : conditions.map((condition) => keep[condition] ?? 0);
  return `within ${formatDuration(Math.max(...times))}`;
}

function unmet(keep: Conditions | 'all'): string {
  if (keep === 'all') return '';
  const { pushedWithin, pulledWithin } = keep;
  return [
    ...(keep.newest === undefined ? [] : [`not ${newest(keep)}`]),
    ...(pushedWithin === undefined ? [] : [`not pushed within ${formatDuration(pushedWithin)}`]),
    ...(pulledWithin === undefined ? [] : [`not pulled within ${formatDuration(pulledWithin)}`]),
  ].join(', ');
}

/** @throws UsageError */
function readPolicy(file: string): RetentionPolicy {
  const read = readTextFile(file);
  if (!('text' in read)) throw new UsageError(`--policy ${file}: the file cannot be read: ${read.reason}`);
  const parsed = parseRetentionPolicy(file, read.text);
  if ('policy' in parsed) return parsed.policy;
  throw new UsageError(`invalid retention policy:\n${parsed.mistakes.map((line) => `  ${line}`).join('\n')}`);
}

/** @throws UsageError */
function ownerOf({ registry, namespace, repository }: OwnerFlags): PolicyOwnerName {
  if (registry) return 'registry';
  if (namespace !== undefined) return { namespace };
  if (repository !== undefined) return { repository };
  throw new UsageError('missing option: --repository, --namespace or --registry');
}

function asLevel(named: PolicyOwnerName) {
  if (named === 'registry') return { level: 'registry', name: null };
  return 'namespace' in named
    ? { level: 'namespace', name: named.namespace }
    : { level: 'repository', name: named.repository };
}

function policyAsJson({ level, name, policy, updatedAt }: ListedPolicy) {
  return { level, name, policy: writtenPolicy(policy), updatedAt: showTime(updatedAt) };
}
