// The commands of berth tag that concern images: lists, history, and undoing a bad push.
import { Argument, Option } from 'commander';
import { copyTag, removeTag, rollBack, rollbackPlan, tagHistory, tagsOf } from '../administration/images.ts';
import { showTime } from '../administration/show-time.ts';
import { formatDuration } from '../config/units.ts';
import { deletionRulesOf } from '../core/delete-image.ts';
import { printBytes } from '../core/print-bytes.ts';
import type { TagDetails } from '../core/tag-details.ts';
import { keepMovesFor } from '../core/tag-history.ts';
import type { TagMove } from '../db/tag-history.ts';
import { UsageError } from '../failure.ts';
import { listAnswer } from './answer.ts';
import type { Invocation } from './invocation.ts';
import { asLimit, asTime, timeForms } from './option-values.ts';
import type { RegistryCommand } from './registry-command.ts';
import { shortDigest } from './table.ts';

const tagged = new Argument('<tag>', 'The tag with its repository, such as acme/app:v1.');

interface RollbackOptions {
  readonly to?: string;
  readonly before?: number;
  readonly dryRun?: boolean;
}

export const tagCommands: readonly RegistryCommand[] = [
  {
    name: 'list',
    description:
      'List the tags of a repository with their manifests, platforms, sizes, last pushes and last pulls.',
    arguments: [new Argument('<repository>', 'The repository, such as acme/app.')],
    examples: ['berth tag list acme/app', 'berth tag list acme/app --json'],
    async run(invocation, repository: string) {
      const { read } = await invocation.openForReading();
      const tags = await Array.fromAsync(tagsOf({ read, store: await invocation.openStore() }, repository));
      return listAnswer(tags.map(tagAsJson), {
        TAG: ({ tag }) => tag,
        DIGEST: ({ digest }) => digest,
        PLATFORMS: ({ platforms }) => platforms,
        SIZE: ({ size }) => (size === null ? '' : printBytes(size)),
        PUSHED: ({ pushedAt }) => pushedAt,
        BY: ({ pushedBy }) => pushedBy,
        'LAST PULLED': ({ pulledAt }) => pulledAt,
      });
    },
  },
  {
    name: 'history',
    description: 'List the moves and deletions of a tag, or of all tags of a repository, newest first.',
    arguments: [
      new Argument('<name>', 'A repository, such as acme/app, or one of its tags, such as acme/app:v1.'),
    ],
    options: [
      new Option('--limit <number>', 'Print at most this many moves.').argParser(asLimit).default(50),
    ],
    examples: ['berth tag history acme/app:v1', 'berth tag history acme/app --limit 200'],
    async run(invocation, name: string, { limit }: { limit: number }) {
      const moves = await tagHistory(await invocation.openForReading(), name, limit);
      return listAnswer(moves.map(moveAsJson), {
        TIME: ({ at }) => at,
        TAG: ({ tag }) => tag,
        ACTION: ({ action }) => action,
        'NEW DIGEST': ({ newDigest }) => newDigest ?? 'deleted',
        'OLD DIGEST': ({ oldDigest }) => (oldDigest === null ? '' : shortDigest(oldDigest)),
        BY: ({ actor, actorName }) => actorName || actor,
        CREDENTIAL: ({ credential }) => credential,
        // The version of Docker names its kernel and more; --json has all of it.
        CLIENT: ({ client }) => client?.split(' ', 1)[0],
      });
    },
  },
  {
    name: 'rollback',
    description:
      'Point a tag to the manifest before its last move, or restore a deleted tag. A second rollback undoes the first.',
    arguments: [tagged],
    options: [
      new Option('--to <digest>', 'Point the tag to this manifest of the repository.').conflicts('before'),
      new Option(
        '--before <time>',
        `Point the tag to the manifest that it pointed to before this time: ${timeForms}.`,
      ).argParser(asTime),
      new Option('--dry-run', 'Print what would change, and change nothing.'),
    ],
    examples: [
      'berth tag rollback acme/app:v1 --dry-run',
      'berth tag rollback acme/app:v1 --before 2h',
      'berth tag rollback acme/app:v1 --to sha256:4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865',
    ],
    async run(invocation, name: string, { dryRun = false, ...request }: RollbackOptions) {
      requireRecorded(invocation, request.before);
      const { from, to } = dryRun
        ? await rollbackPlan(await invocation.openForReading(), name, request)
        : await rollBack(
            await invocation.openForChanges(),
            invocation.config.tags.immutable,
            name,
            request,
            invocation.config.quotas,
          );
      const was = from === undefined ? 'it did not exist' : from;
      const text =
        from === to
          ? `${name} points to ${to} already`
          : dryRun
            ? `${name} would point to ${to}; now: ${was}`
            : `${name} points to ${to}; before: ${was}`;
      return { text: `${text}\n`, json: { tag: name, from: from ?? null, to, dryRun } };
    },
  },
  {
    name: 'copy',
    description:
      'Copy an image to a tag of another repository, with its children, referrers and blobs; no byte is copied.',
    arguments: [
      new Argument('<source>', 'The image, such as acme/app:rc or acme/app@sha256:….'),
      new Argument('<destination>', 'The new tag with its repository, such as prod/app:v1.'),
    ],
    options: [new Option('--no-referrers', 'Copy no signatures, attestations and other referrers.')],
    examples: ['berth tag copy acme/app:rc prod/app:v1', 'berth tag copy acme/app:v1.2.3 acme/app:stable'],
    async run(invocation, source: string, destination: string, { referrers }: { referrers: boolean }) {
      const database = await invocation.openForChanges();
      const { missingReferences } = invocation.config.manifests;
      const made = await copyTag(database, source, destination, {
        ...{ referrers, missingReferences, immutableTags: invocation.config.tags.immutable },
        quotas: invocation.config.quotas,
      });
      const { digest, copied, before } = made;
      const count = `${copied} new manifest${copied === 1 ? '' : 's'}`;
      const was = before === undefined ? 'it did not exist' : before;
      return {
        text:
          before === digest
            ? `${destination} points to ${digest} already (${count})\n`
            : `${destination} points to ${digest} (${count}); before: ${was}\n`,
        json: { tag: destination, digest, copied, before: before ?? null },
      };
    },
  },
  {
    name: 'delete',
    description:
      'Delete a tag, and not its manifest, which takes its space as before; `berth trash restore` restores the tag.',
    arguments: [tagged],
    examples: ['berth tag delete acme/app:v1'],
    async run(invocation, name: string) {
      const rules = deletionRulesOf(invocation.config);
      await removeTag(await invocation.openForChanges(), rules, name);
      const how = rules.trash ? `; "berth trash restore ${name}" restores it` : '';
      return { text: `deleted ${name}, and not its image${how}\n`, json: { deleted: name } };
    },
  },
];

/** Refuses a time for which moves may be deleted already. */
function requireRecorded({ config }: Invocation, before: number | undefined): void {
  const keepFor = keepMovesFor(config);
  if (before === undefined || before > Date.now() - keepFor) return;
  throw new UsageError(
    `--before ${showTime(before)}: the history of tags is kept for ${formatDuration(keepFor)} (history.keepFor)`,
  );
}

function tagAsJson({ size, pushedAt, pushedBy, pulledAt, ...tag }: TagDetails) {
  return {
    ...{ ...tag, size: size ?? null, pushedAt: showTime(pushedAt), pushedBy: pushedBy ?? null },
    pulledAt: pulledAt === undefined ? null : showTime(pulledAt),
  };
}

function moveAsJson({ at, kind, tag, old_digest, new_digest, actor, actor_name, ...move }: TagMove) {
  const { credential, address, client } = move;
  return {
    ...{ at: showTime(at), action: kind, tag, oldDigest: old_digest, newDigest: new_digest },
    ...{ actor, actorName: actor_name, credential, address, client },
  };
}
