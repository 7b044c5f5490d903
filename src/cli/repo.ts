// berth repo: repositories, and who may see them.
import { Argument, Command, Option } from 'commander';
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
    .argument('[prefix]', 'What their names start with; without one, all repositories.')
    .action(async (prefix: string | undefined, _flags, command: Command) => {
      const { repositoriesFrom } = await import('../administration/repositories.ts');
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
    .description('Show a repository, and who may do what with it; accounts that are disabled are listed too.')
    .addArgument(name)
    .action(async (name: string, _flags, command: Command) => {
      const { showRepository } = await import('../administration/repositories.ts');
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
    .description(
      'Say whether everyone who reaches the registry may pull a repository, before its first push too.',
    )
    .addArgument(name)
    .addOption(
      new Option('--visibility <visibility>', 'Public: everyone may pull it; private: who has the right.')
        .choices(['public', 'private'] satisfies Visibility[])
        .makeOptionMandatory(),
    )
    .action(async (name: string, { visibility }: SetFlags, command: Command) => {
      const { changeVisibility } = await import('../administration/repositories.ts');
      await administer(command, context, async (database) => {
        const made = await changeVisibility(database, name, visibility);
        if (made)
          context.err(`nothing has been pushed to ${name} yet; its first push will find it ${visibility}\n`);
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
    .description('Delete a repository with all its tags, manifests and blobs; their bytes are swept later.')
    .addArgument(name)
    .action(async (name: string, _flags, command: Command) => {
      const { removeRepository } = await import('../administration/repositories.ts');
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
