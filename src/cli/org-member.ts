// berth org member: the members of an organisation, with their roles in its namespace.

import { Argument, Command, Option } from 'commander';
import { roles } from '../access/rights.ts';
import { accountNamed } from '../administration/accounts.ts';
import { removeOrganisationMember, setOrganisationMember } from '../administration/organisations.ts';
import { listMembers } from '../db/members.ts';
import type { MemberRole } from '../db/schema.ts';
import { administer, consult, withAdministrationFlags, withExamples } from './administration.ts';
import type { Context } from './context.ts';
import { everyRow } from './every-row.ts';
import { table } from './table.ts';

const organisation = new Argument('<org>', 'The organisation.');
const user = new Argument('<user>', 'The user.');

export function orgMemberCommand(context: Context): Command {
  const member = new Command('member').description("An organisation's members.");
  member.addCommand(addCommand(context));
  member.addCommand(removeCommand(context));
  member.addCommand(listCommand(context));
  return member;
}

function addCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('add'))
    .description('Add a member, or change the role of one.')
    .addArgument(organisation)
    .addArgument(user)
    .addOption(
      new Option('--role <role>', "The member's role in all of the organisation's repositories.")
        .choices(['none', ...roles])
        .default('read'),
    )
    .action(async (org: string, name: string, { role }: { role: MemberRole }, command: Command) => {
      await administer(command, context, async (database) => {
        await setOrganisationMember(database, org, name, role);
        return {
          text: `${name} is a member of ${org} with the role ${role}\n`,
          json: { organisation: org, name, role },
        };
      });
    });
  return withExamples(
    command,
    'berth org member add acme alice --role admin',
    'berth org member add acme bob --role none    rights only from teams and grants',
  );
}

function removeCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('remove'))
    .description('Remove a user from an organisation and its teams.')
    .addArgument(organisation)
    .addArgument(user)
    .action(async (org: string, name: string, _flags, command: Command) => {
      await administer(command, context, async (database) => {
        await removeOrganisationMember(database, org, name);
        return {
          text: `removed ${name} from ${org}\n`,
          json: { organisation: org, removed: name },
        };
      });
    });
  return withExamples(command, 'berth org member remove acme bob');
}

function listCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('list'))
    .description("List an organisation's members.")
    .addArgument(organisation)
    .action(async (org: string, _flags, command: Command) => {
      await consult(command, context, async ({ read }) => {
        const { id } = await accountNamed(read, org, 'organisation');
        const members = await everyRow((after, limit) => listMembers(read, id, after, limit));
        return {
          text: table(
            ['NAME', 'ROLE'],
            members.map(({ name, role }) => [name, role]),
          ),
          json: members.map(({ name, role }) => ({ name, role })),
        };
      });
    });
  return withExamples(command, 'berth org member list acme');
}
