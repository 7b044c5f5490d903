// berth team member: the members of a team that were added by hand.

import { Argument, Command } from 'commander';
import { addToTeam, removeFromTeam } from '../administration/teams.ts';
import { administer, withAdministrationFlags, withExamples } from './administration.ts';
import type { Context } from './context.ts';

const path = new Argument('<org/team>', 'The team, with its organisation.');
const user = new Argument('<user>', 'The user.');

export function teamMemberCommand(context: Context): Command {
  const member = new Command('member').description("A team's members.");

  const add = withAdministrationFlags(member.command('add'))
    .description('Add a member of the organisation to the team.')
    .addArgument(path)
    .addArgument(user)
    .action(async (team: string, name: string, _flags, command: Command) => {
      await administer(command, context, async (database) => {
        await addToTeam(database, team, name);
        return {
          text: `${name} is in ${team}\n`,
          json: { team, name },
        };
      });
    });
  withExamples(add, 'berth team member add acme/developers alice');

  const remove = withAdministrationFlags(member.command('remove'))
    .description('Remove a member that was added by hand from the team.')
    .addArgument(path)
    .addArgument(user)
    .action(async (team: string, name: string, _flags, command: Command) => {
      await administer(command, context, async (database) => {
        await removeFromTeam(database, team, name);
        return {
          text: `removed ${name} from ${team}\n`,
          json: { team, removed: name },
        };
      });
    });
  withExamples(remove, 'berth team member remove acme/developers alice');

  return member;
}
