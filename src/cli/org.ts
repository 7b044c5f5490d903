// berth org: organisations, which own namespaces.

import { Command } from 'commander';
import { accountNamed } from '../administration/accounts.ts';
import {
  changeOrganisation,
  createOrganisation,
  deleteOrganisation,
} from '../administration/organisations.ts';
import { type Account, listAccounts, listRobotsOf } from '../db/accounts.ts';
import { listMembers } from '../db/members.ts';
import type { Db } from '../db/prepare.ts';
import type { Visibility } from '../db/schema.ts';
import { listTeams } from '../db/teams.ts';
import {
  type DisabledFlags,
  disabledOf,
  requireChange,
  visibilityOption,
  withDisabledFlags,
  yesOrNo,
} from './account-flags.ts';
import {
  type Answer,
  administer,
  consult,
  withAdministrationFlags,
  withCreateFlag,
  withExamples,
} from './administration.ts';
import type { Context } from './context.ts';
import { everyRow } from './every-row.ts';
import { orgMemberCommand } from './org-member.ts';
import { fields, showTime, table } from './table.ts';

export function orgCommand(org: Command, context: Context): void {
  org.addCommand(createCommand(context));
  org.addCommand(setCommand(context));
  org.addCommand(listCommand(context));
  org.addCommand(showCommand(context));
  org.addCommand(deleteCommand(context));
  org.addCommand(orgMemberCommand(context));
}

function createCommand(context: Context): Command {
  const command = withCreateFlag(withAdministrationFlags(new Command('create')))
    .description('Create an organisation.')
    .argument('<name>', 'The name of the organisation and of its namespace.')
    .addOption(visibilityOption())
    .option('--admin <user>', 'Its first member, with the role admin.')
    .action(
      async (
        name: string,
        { defaultVisibility, admin }: { defaultVisibility?: Visibility; admin?: string },
        command: Command,
      ) => {
        await administer(command, context, async (database) => {
          await createOrganisation(database, {
            name,
            ...(defaultVisibility !== undefined && { defaultVisibility }),
            ...(admin !== undefined && { admin }),
          });
          const { json } = await describeOrganisation(database.read, name);
          return {
            text: `created the organisation ${name}\n`,
            json,
          };
        });
      },
    );
  return withExamples(
    command,
    'berth org create acme --admin alice',
    'berth org create charts --default-visibility public',
  );
}

function setCommand(context: Context): Command {
  const command = withDisabledFlags(
    withAdministrationFlags(new Command('set')),
    'Disable the organisation: members, teams and robots lose the rights they have through it.',
  )
    .description('Change an organisation; settings without a flag do not change.')
    .argument('<name>', 'The organisation.')
    .addOption(visibilityOption())
    .action(
      async (name: string, flags: DisabledFlags & { defaultVisibility?: Visibility }, command: Command) => {
        const { defaultVisibility } = flags;
        const changes = {
          ...disabledOf(flags),
          ...(defaultVisibility !== undefined && { defaultVisibility }),
        };
        requireChange(command, changes);
        await administer(command, context, async (database) => {
          await changeOrganisation(database, name, changes);
          const { json } = await describeOrganisation(database.read, name);
          return {
            text: `changed the organisation ${name}\n`,
            json,
          };
        });
      },
    );
  return withExamples(command, 'berth org set acme --default-visibility public');
}

function listCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('list'))
    .description('List the organisations.')
    .action(async (_flags, command: Command) => {
      await consult(command, context, async ({ read }) => {
        const rows = await everyRow((after, limit) => listAccounts(read, 'organisation', after, limit));
        const organisations = rows.map(shown);
        return {
          text: table(
            ['NAME', 'NEW REPOSITORIES', 'DISABLED', 'CREATED'],
            organisations.map(({ name, defaultVisibility, disabled, createdAt }) => [
              name,
              defaultVisibility,
              yesOrNo(disabled),
              createdAt,
            ]),
          ),
          json: organisations,
        };
      });
    });
  return withExamples(command, 'berth org list');
}

function showCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('show'))
    .description('Show an organisation, with its members, teams and robots.')
    .argument('<name>', 'The organisation.')
    .action((name: string, _flags, command: Command) =>
      consult(command, context, ({ read }) => describeOrganisation(read, name)),
    );
  return withExamples(command, 'berth org show acme');
}

function deleteCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('delete'))
    .description(
      'Delete an organisation whose repositories are empty, with its teams, robots, grants and trusts.',
    )
    .argument('<name>', 'The organisation.')
    .action(async (name: string, _flags, command: Command) => {
      await administer(command, context, async (database) => {
        await deleteOrganisation(database, name);
        return {
          text: `deleted the organisation ${name}\n`,
          json: { deleted: name },
        };
      });
    });
  return withExamples(command, 'berth org delete acme');
}

function shown({ name, defaultVisibility, disabledAt, createdAt }: Account) {
  return { name, defaultVisibility, disabled: disabledAt !== null, createdAt: showTime(createdAt) };
}

async function describeOrganisation(db: Db, text: string): Promise<Answer> {
  const account = await accountNamed(db, text, 'organisation');
  const { id } = account;
  const all = await everyRow((after, limit) => listMembers(db, id, after, limit));
  const members = all.map(({ name, role }) => ({ name, role }));
  const teams = await everyRow((after, limit) => listTeams(db, id, after, limit));
  const robots = await everyRow((after, limit) => listRobotsOf(db, id, after, limit));
  const json = {
    ...shown(account),
    members,
    teams: teams.map(({ name }) => `${account.name}/${name}`),
    robots: robots.map(({ name }) => name),
  };
  return {
    json,
    text: fields({
      name: json.name,
      'new repositories': json.defaultVisibility,
      disabled: yesOrNo(json.disabled),
      created: json.createdAt,
      members: members.map(({ name, role }) => `${name} (${role})`).join(', ') || 'none',
      teams: json.teams.join(', ') || 'none',
      robots: json.robots.join(', ') || 'none',
    }),
  };
}
