// berth team member: the members of a team that were added by hand.
import { Argument } from 'commander';
import { addToTeam, removeFromTeam } from '../administration/teams.ts';
import type { RegistryCommand } from './registry-command.ts';

const member = [
  new Argument('<org/team>', 'The team, with its organisation.'),
  new Argument('<user>', 'The user.'),
];

export const teamMemberCommands: readonly RegistryCommand[] = [
  {
    name: 'add',
    description: 'Add a member of the organisation to the team.',
    arguments: member,
    examples: ['berth team member add acme/developers alice'],
    async run(invocation, team: string, name: string) {
      await addToTeam(await invocation.openForChanges(), team, name);
      return { text: `${name} is in ${team}\n`, json: { team, name } };
    },
  },
  {
    name: 'remove',
    description: 'Remove a manually added member from the team.',
    arguments: member,
    examples: ['berth team member remove acme/developers alice'],
    async run(invocation, team: string, name: string) {
      await removeFromTeam(await invocation.openForChanges(), team, name);
      return { text: `removed ${name} from ${team}\n`, json: { team, removed: name } };
    },
  },
];
