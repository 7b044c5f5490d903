// berth repo: repositories, their visibility and their names.
import { Argument, InvalidArgumentError, Option } from 'commander';
import { rename } from '../administration/rename-repository.ts';
import {
  changeVisibility,
  removeRepository,
  repositoriesFrom,
  showRepository,
} from '../administration/repositories.ts';
import { showTime } from '../administration/show-time.ts';
import { parseDuration } from '../config/units.ts';
import { deletionRulesOf } from '../core/delete-image.ts';
import type { Visibility } from '../db/schema.ts';
import { accessAnswer } from './access-table.ts';
import { listAnswer } from './answer.ts';
import { subcommands } from './registry-command.ts';
import { repoAliasCommands } from './repo-alias.ts';

const repository = new Argument('<name>', 'The repository, such as acme/app.');

export const repoCommand = subcommands(
  {
    name: 'list',
    description: 'List repositories, empty ones too.',
    arguments: [new Argument('[prefix]', 'Only names with this prefix; default: all repositories.')],
    examples: ['berth repo list', 'berth repo list acme/'],
    async run(invocation, prefix = '') {
      return listAnswer(await Array.fromAsync(repositoriesFrom(await invocation.openForReading(), prefix)), {
        NAME: ({ name }) => name,
        VISIBILITY: ({ visibility }) => visibility,
        TAGS: ({ tags }) => tags,
        MANIFESTS: ({ manifests }) => manifests,
      });
    },
  },
  {
    name: 'show',
    description: 'Show a repository and the rights of all accounts on it; includes disabled accounts.',
    arguments: [repository],
    examples: ['berth repo show acme/app'],
    async run(invocation, name: string) {
      const json = await showRepository(await invocation.openForReading(), name);
      const summary = listAnswer([json], {
        NAME: ({ name }) => name,
        ID: ({ id }) => id,
        VISIBILITY: ({ visibility }) => visibility,
        TAGS: ({ tags }) => tags,
        MANIFESTS: ({ manifests }) => manifests,
      });
      return { text: `${summary.text}\n${accessAnswer(json.access).text}`, json };
    },
  },
  {
    name: 'set',
    description: 'Set the visibility of a repository, also before its first push.',
    arguments: [repository],
    options: [
      new Option(
        '--visibility <visibility>',
        'Public: everyone may pull; private: only accounts with the right.',
      )
        .choices(['public', 'private'] satisfies Visibility[])
        .makeOptionMandatory(),
    ],
    examples: ['berth repo set acme/app --visibility public'],
    async run(invocation, name: string, { visibility }: { visibility: Visibility }) {
      const made = await changeVisibility(await invocation.openForChanges(), name, visibility);
      if (made) invocation.warn(`${name} has no content yet; it is ${visibility} from its first push on`);
      return { text: `${name} is ${visibility}\n`, json: { name, visibility } };
    },
  },
  {
    name: 'rename',
    description:
      'Rename a repository, or move it to another namespace. The former name works as an alias for some time. Grants and scopes for the former name do not follow.',
    arguments: [
      new Argument('<name>', 'The repository, such as acme/app.'),
      new Argument('<new-name>', 'Its new name, such as acme/web or tools/app.'),
    ],
    options: [
      new Option('--alias-for <duration>', 'How long the former name works; default: aliases.keepFor.')
        .argParser(asAliasTime)
        .conflicts('alias'),
      new Option('--no-alias', 'The former name stops working now.'),
      new Option('--force', 'Rename it even if it has immutable tags (see `berth tag rule`).'),
    ],
    examples: ['berth repo rename acme/app acme/web', 'berth repo rename acme/app tools/app --alias-for 30d'],
    async run(invocation, name: string, newName: string, { alias, aliasFor, force = false }: RenameFlags) {
      const { aliases, tags, quotas } = invocation.config;
      const options = {
        aliasFor: alias ? (aliasFor ?? aliases.keepFor) : 0,
        configured: tags.immutable,
        quotas,
        force,
      };
      const { from, to, aliasUntil, grants } = await rename(
        await invocation.openForChanges(),
        name,
        newName,
        options,
      );
      if (grants.length > 0) {
        const list = grants.map(({ kind, name, role }) => `${kind} ${name} (${role})`).join(', ');
        invocation.warn(`grants on ${from} do not apply to ${to}: ${list}`);
      }
      const until = aliasUntil === undefined ? undefined : showTime(aliasUntil);
      const old =
        until === undefined ? `${from} no longer works` : `${from} works as an alias until ${until}`;
      const json = {
        from,
        to,
        aliasUntil: until ?? null,
        grants: grants.map(({ createdAt, ...grant }) => grant),
      };
      return { text: `renamed ${from} to ${to}; ${old}\n`, json };
    },
  },
  {
    name: 'delete',
    description:
      'Delete a repository with its tags, manifests and blobs. The trash keeps it for `trash.keepFor` (`berth trash restore`); then garbage collection frees the bytes.',
    arguments: [repository],
    options: [
      new Option('--force', 'Delete it even if it has immutable tags (see `berth tag rule`).'),
      new Option('--permanently', 'Delete it for good: it cannot be restored.'),
    ],
    examples: ['berth repo delete acme/app', 'berth repo delete acme/app --permanently'],
    async run(
      invocation,
      name: string,
      { force, permanently = false }: { force?: boolean; permanently?: boolean },
    ) {
      const rules = deletionRulesOf(invocation.config);
      const inTrash = rules.trash && !permanently;
      const deletion = { ...rules, trash: inTrash, force };
      await removeRepository(await invocation.openForChanges(), name, deletion);
      const how = inTrash ? `; "berth trash restore ${name}" restores it` : ' for good';
      return { text: `deleted ${name}${how}\n`, json: { deleted: name, permanently: !inTrash } };
    },
  },
  repoAliasCommands,
);

interface RenameFlags {
  /** False with `--no-alias`. */
  readonly alias: boolean;
  /** Milliseconds. */
  readonly aliasFor?: number;
  readonly force?: boolean;
}

/** @throws InvalidArgumentError */
function asAliasTime(text: string): number {
  const time = parseDuration(text);
  if (time === undefined || time === 0 || time > maxAliasTime) {
    throw new InvalidArgumentError('Allowed: a duration up to 3650d, such as 30d or 12h.');
  }
  return time;
}

const maxAliasTime = 3_650 * 24 * 3_600_000;
