// berth repo: repositories and their visibility.

import { Argument, Command, Option } from 'commander';
import {
  changeVisibility,
  removeRepository,
  repositoriesFrom,
  showRepository,
} from '../administration/repositories.ts';
import type { Visibility } from '../db/schema.ts';
import { accessTable } from './access-table.ts';
import { administer, consult, withAdministrationFlags, withExamples } from './administration.ts';
import type { Context } from './context.ts';
import { table } from './table.ts';

const name = new Argument('<name>', 'The repository, such as acme/app.');

export function repoCommand(repo: Command, context: Context): void {
  repo.addCommand(listCommand(context));
  repo.addCommand(showCommand(context));
  repo.addCommand(setCommand(context));
  repo.addCommand(deleteCommand(context));
}

function listCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('list'))
    .description('List repositories, empty ones too.')
    .argument('[prefix]', 'Only names with this prefix; default: all repositories.')
    .action(async (prefix: string | undefined, _flags, command: Command) => {
      await consult(command, context, async (database) => {
        const repositories = await Array.fromAsync(repositoriesFrom(database, prefix ?? ''));
        return {
          text: table(
            ['NAME', 'VISIBILITY', 'TAGS', 'MANIFESTS'],
            repositories.map(({ name, visibility, tags, manifests }) => [
              name,
              visibility,
              String(tags),
              String(manifests),
            ]),
          ),
          json: repositories,
        };
      });
    });
  return withExamples(command, 'berth repo list', 'berth repo list acme/');
}

function showCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('show'))
    .description('Show a repository and the rights of all accounts on it; includes disabled accounts.')
    .addArgument(name)
    .action(async (name: string, _flags, command: Command) => {
      await consult(command, context, async (database) => {
        const repository = await showRepository(database, name);
        const { id, visibility, tags, manifests, access } = repository;
        const summary = table(
          ['NAME', 'ID', 'VISIBILITY', 'TAGS', 'MANIFESTS'],
          [[repository.name, String(id), visibility, String(tags), String(manifests)]],
        );
        return { text: `${summary}\n${accessTable(access)}`, json: repository };
      });
    });
  return withExamples(command, 'berth repo show acme/app');
}

interface SetFlags {
  readonly visibility: Visibility;
}

function setCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('set'))
    .description('Set the visibility of a repository, also before its first push.')
    .addArgument(name)
    .addOption(
      new Option(
        '--visibility <visibility>',
        'Public: everyone may pull; private: only accounts with the right.',
      )
        .choices(['public', 'private'] satisfies Visibility[])
        .makeOptionMandatory(),
    )
    .action(async (name: string, { visibility }: SetFlags, command: Command) => {
      await administer(command, context, async (database) => {
        const made = await changeVisibility(database, name, visibility);
        if (made) context.err(`${name} has no content yet; it is ${visibility} from its first push on\n`);
        return {
          text: `${name} is ${visibility}\n`,
          json: { name, visibility },
        };
      });
    });
  return withExamples(command, 'berth repo set acme/app --visibility public');
}

function deleteCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('delete'))
    .description(
      'Delete a repository with its tags, manifests and blobs; garbage collection frees the bytes later.',
    )
    .addArgument(name)
    .action(async (name: string, _flags, command: Command) => {
      await administer(command, context, async (database) => {
        await removeRepository(database, name);
        return {
          text: `deleted ${name}\n`,
          json: { deleted: name },
        };
      });
    });
  return withExamples(command, 'berth repo delete acme/app');
}
