// berth team: groups of members of an organisation, which receive grants.

import { Argument, Command, Option } from 'commander';
import { accountNamed } from '../administration/accounts.ts';
import { changeTeam, createTeam, removeTeam, teamNamed } from '../administration/teams.ts';
import type { Db } from '../db/prepare.ts';
import { listTeamMembers } from '../db/team-members.ts';
import { listTeams } from '../db/teams.ts';
import { requireChange } from './account-flags.ts';
import { type Answer, administer, consult, withAdministrationFlags, withExamples } from './administration.ts';
import type { Context } from './context.ts';
import { everyRow } from './every-row.ts';
import { fields, table } from './table.ts';
import { teamMemberCommand } from './team-member.ts';

const path = new Argument('<org/team>', 'The team, with its organisation.');

export function teamCommand(team: Command, context: Context): void {
  team.addCommand(createCommand(context));
  team.addCommand(setCommand(context));
  team.addCommand(listCommand(context));
  team.addCommand(showCommand(context));
  team.addCommand(deleteCommand(context));
  team.addCommand(teamMemberCommand(context));
}

function groupOption(): Option {
  return new Option('--group <group>', 'The group of the sign-on provider whose members join the team.');
}

function createCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('create'))
    .description('Create a team.')
    .addArgument(path)
    .addOption(groupOption())
    .action(async (team: string, { group }: { group?: string }, command: Command) => {
      await administer(command, context, async (database) => {
        await createTeam(database, team, group === undefined ? {} : { group });
        const { json } = await describeTeam(database.read, team);
        return {
          text: `created the team ${team}\n`,
          json,
        };
      });
    });
  return withExamples(
    command,
    'berth team create acme/developers',
    'berth team create acme/operations --group ops    filled from the group at each sign-on',
  );
}

function setCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('set'))
    .description('Change a team; members from its former group leave it.')
    .addArgument(path)
    .addOption(groupOption())
    .option('--no-group', 'Remove the group from the team.')
    .action(async (team: string, { group }: { group?: string | boolean }, command: Command) => {
      const changes = {
        ...(typeof group === 'string' && { group }),
        ...(group === false && { group: null }),
      };
      requireChange(command, changes);
      await administer(command, context, async (database) => {
        await changeTeam(database, team, changes);
        const { json } = await describeTeam(database.read, team);
        return {
          text: `changed the team ${team}\n`,
          json,
        };
      });
    });
  return withExamples(command, 'berth team set acme/developers --group dev');
}

function listCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('list'))
    .description("List an organisation's teams.")
    .argument('<org>', 'The organisation.')
    .action(async (org: string, _flags, command: Command) => {
      await consult(command, context, async ({ read }) => {
        const { id } = await accountNamed(read, org, 'organisation');
        const teams = await everyRow((after, limit) => listTeams(read, id, after, limit));
        return {
          text: table(
            ['TEAM', 'GROUP'],
            teams.map(({ name, group }) => [`${org}/${name}`, group ?? '']),
          ),
          json: teams.map(({ name, group }) => ({ name: `${org}/${name}`, group })),
        };
      });
    });
  return withExamples(command, 'berth team list acme');
}

function showCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('show'))
    .description('Show a team and its members.')
    .addArgument(path)
    .action((team: string, _flags, command: Command) =>
      consult(command, context, ({ read }) => describeTeam(read, team)),
    );
  return withExamples(command, 'berth team show acme/developers');
}

function deleteCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('delete'))
    .description('Delete a team and its grants; its members stay in the organisation.')
    .addArgument(path)
    .action(async (team: string, _flags, command: Command) => {
      await administer(command, context, async (database) => {
        await removeTeam(database, team);
        return {
          text: `deleted the team ${team}\n`,
          json: { deleted: team },
        };
      });
    });
  return withExamples(command, 'berth team delete acme/developers');
}

async function describeTeam(db: Db, text: string): Promise<Answer> {
  const team = await teamNamed(db, text);
  const all = await listTeamMembers(db, team.id);
  const members = all.map(({ name, source }) => ({ name, source }));
  const name = `${team.organisation.name}/${team.name}`;
  return {
    text: fields({
      name,
      group: team.group ?? 'none',
      members: members.map(({ name, source }) => `${name} (${source})`).join(', ') || 'none',
    }),
    json: { name, group: team.group, members },
  };
}
