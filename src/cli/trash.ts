// berth trash: deleted tags, manifests and repositories that can be restored.
import { Argument, Option } from 'commander';
import { showTime } from '../administration/show-time.ts';
import { emptyTrashOf, restoreFromTrash, type TrashEntry, trashOf } from '../administration/trash.ts';
import { UsageError } from '../failure.ts';
import { listAnswer } from './answer.ts';
import type { Invocation } from './invocation.ts';
import { subcommands } from './registry-command.ts';

const scope = new Argument('[name]', 'Only what was in this repository or namespace; default: everything.');

export const trashCommand = subcommands(
  {
    name: 'list',
    description: 'List deleted tags, manifests and repositories that can be restored, newest first.',
    arguments: [scope],
    examples: ['berth trash list', 'berth trash list acme', 'berth trash list acme/app --json'],
    async run(invocation, name?: string) {
      const { keepFor } = invocation.config.trash;
      const entries = trashOf(await invocation.openForReading(), name, keepFor);
      return listAnswer((await Array.fromAsync(entries)).map(entryAsJson), {
        KIND: ({ kind }) => kind,
        NAME: ({ name }) => name,
        DELETED: ({ deletedAt }) => deletedAt,
        BY: ({ deletedBy }) => deletedBy,
        EXPIRES: ({ expiresAt }) => expiresAt,
      });
    },
  },
  {
    name: 'restore',
    description:
      'Restore a deleted repository, tag or manifest. A manifest comes back with its children, its referrers and the tags that were deleted with it.',
    arguments: [
      new Argument('<name>', 'As berth trash list prints it: acme/app, acme/app:v1 or acme/app@sha256:….'),
    ],
    options: [new Option('--as <name>', 'Another name for a repository whose name is taken.')],
    examples: [
      'berth trash restore acme/app:v1',
      'berth trash restore acme/app',
      'berth trash restore acme/app --as acme/app-old',
    ],
    async run(invocation, name: string, { as }: { as?: string }) {
      const { tags: configured, quotas } = invocation.config;
      const restored = await restoreFromTrash(await invocation.openForChanges(), name, {
        immutableTags: configured.immutable,
        quotas,
        as,
      });
      const { digest, manifests, tags, skipped } = restored;
      if (skipped.length > 0) {
        invocation.warn(
          `not restored, because these tags exist: ${skipped.join(', ')}; the trash keeps them`,
        );
      }
      const lines = [`restored ${name}${as === undefined ? '' : ` as ${as}`}`];
      if (digest !== null) lines.push(`manifests: ${manifests}`, `tags: ${tags.join(', ') || 'none'}`);
      return { text: `${lines.join('\n')}\n`, json: { name: as ?? name, ...restored } };
    },
  },
  {
    name: 'empty',
    description: 'Delete for good what is in the trash; garbage collection frees the bytes later.',
    arguments: [scope],
    options: [new Option('--yes', 'Do not ask.')],
    examples: ['berth trash empty acme/app', 'berth trash empty --yes'],
    async run(invocation, name: string | undefined, { yes = false }: { yes?: boolean }) {
      if (!yes) await confirm(invocation, name);
      const json = await emptyTrashOf(await invocation.openForChanges(), name);
      const { repositories, manifests, tags } = json;
      const text = `deleted for good: ${repositories} repositories, ${manifests} manifests, ${tags} tags\n`;
      return { text, json };
    },
  },
);

/** Asks for the name to be typed. @throws UsageError */
async function confirm({ context }: Invocation, name: string | undefined): Promise<void> {
  const word = name ?? 'everything';
  if (context.ask === undefined) {
    throw new UsageError(`berth trash empty deletes ${word} in the trash for good: confirm it with --yes`);
  }
  const typed = await context.ask(`This deletes for good what is in the trash. Type ${word} to confirm: `);
  if (typed.trim() !== word) throw new UsageError(`${word} was not typed; nothing is deleted`);
}

function entryAsJson({ deletedAt, expiresAt, ...entry }: TrashEntry) {
  return { ...entry, deletedAt: showTime(deletedAt), expiresAt: showTime(expiresAt) };
}
