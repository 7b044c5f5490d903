// berth repo alias: former names of renamed repositories.
import { Argument } from 'commander';
import { allAliases, removeAlias } from '../administration/rename-repository.ts';
import { showTime } from '../administration/show-time.ts';
import { listAnswer } from './answer.ts';
import type { CommandGroup } from './registry-command.ts';

export const repoAliasCommands: CommandGroup = {
  name: 'alias',
  description: 'Manage aliases: former names of renamed repositories, which work until they expire.',
  commands: [
    {
      name: 'list',
      description: 'List all aliases.',
      examples: ['berth repo alias list'],
      async run(invocation) {
        const aliases = await allAliases(await invocation.openForReading());
        const rows = aliases.map(({ expiresAt, ...row }) => ({ ...row, until: showTime(expiresAt) }));
        return listAnswer(rows, {
          ALIAS: ({ name }) => name,
          REPOSITORY: ({ repository }) => repository,
          UNTIL: ({ until }) => until,
        });
      },
    },
    {
      name: 'delete',
      description: 'Delete an alias, so that the former name stops working now.',
      arguments: [new Argument('<name>', 'The former name, such as acme/old.')],
      examples: ['berth repo alias delete acme/old'],
      async run(invocation, name: string) {
        const repository = await removeAlias(await invocation.openForChanges(), name);
        return { text: `deleted the alias ${name} of ${repository}\n`, json: { deleted: name, repository } };
      },
    },
  ],
};
