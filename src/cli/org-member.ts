// berth org member: who is in an organisation, and what they may do in all of its namespace.
import { Argument, Command, Option } from 'commander';
import { roles } from '../access/rights.ts';
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
    .description('Make a user a member, or give a member another role.')
    .addArgument(organisation)
    .addArgument(user)
    .addOption(
      new Option('--role <role>', "What the member may do in all of the organisation's repositories.")
        .choices(['none', ...roles])
        .default('read'),
    )
    .action(async (org: string, name: string, { role }: { role: MemberRole }, command: Command) => {
      const { setOrganisationMember } = await import('../administration/organisations.ts');
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
    'berth org member add acme bob --role none    only what a team or a grant gives bob',
  );
}

function removeCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('remove'))
    .description('Take a user out of an organisation and of its teams.')
    .addArgument(organisation)
    .addArgument(user)
    .action(async (org: string, name: string, _flags, command: Command) => {
      const { removeOrganisationMember } = await import('../administration/organisations.ts');
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
      const { accountNamed } = await import('../administration/accounts.ts');
      const { listMembers } = await import('../db/members.ts');
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
