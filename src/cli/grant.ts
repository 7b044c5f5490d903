// berth grant: gives accounts and teams roles on repositories.

import { Argument, Command, Option } from 'commander';
import { grantsOf, removeGrant, setGrant } from '../administration/grants.ts';
import { accessTo } from '../administration/repositories.ts';
import type { GrantRow } from '../db/grants.ts';
import type { Role } from '../db/schema.ts';
import { accessTable } from './access-table.ts';
import { administer, consult, withAdministrationFlags, withExamples } from './administration.ts';
import type { Context } from './context.ts';
import { requireSubject, subjectOf, withSubjectFlags } from './subject-flags.ts';
import { showTime, table } from './table.ts';

const grantees = ['user', 'team', 'robot'] as const;

const pattern = new Argument(
  '<pattern>',
  'A repository or a pattern: * matches any part of one component, ** any components, as in acme/web-* and acme/**.',
);

export function grantCommand(grant: Command, context: Context): void {
  grant.addCommand(setCommand(context));
  grant.addCommand(removeCommand(context));
  grant.addCommand(listCommand(context));
}

function setCommand(context: Context): Command {
  const command = withSubjectFlags(withAdministrationFlags(new Command('set')), {
    user: 'The user to give the role to.',
    team: 'The team to give the role to; all of its members get it.',
    robot: 'The robot to give the role to.',
  })
    .description('Give a role on repositories; replaces the grant with the same pattern.')
    .addArgument(pattern)
    .addOption(
      new Option('--role <role>', 'The role.')
        .choices(['read', 'write', 'maintain', 'admin'] satisfies Role[])
        .makeOptionMandatory(),
    )
    .action(async (pattern: string, { role }: { role: Role }, command: Command) => {
      const grantee = requireSubject(command, grantees);
      await administer(command, context, async (database) => {
        const { warning } = await setGrant(database, { pattern, grantee, role });
        if (warning !== undefined) context.err(`berth: ${warning}\n`);
        const { kind, name } = grantee;
        return {
          text: `${kind} ${name} has ${role} on ${pattern}\n`,
          json: { pattern, role, kind, name },
        };
      });
    });
  return withExamples(
    command,
    'berth grant set acme/app --user alice --role write',
    "berth grant set 'acme/**' --team acme/developers --role read",
    'berth grant set acme/app --robot acme+deploy --role read',
  );
}

function removeCommand(context: Context): Command {
  const command = withSubjectFlags(withAdministrationFlags(new Command('remove')), {
    user: 'The user who has the grant.',
    team: 'The team that has the grant.',
    robot: 'The robot that has the grant.',
  })
    .description('Remove a grant, given its pattern.')
    .addArgument(pattern)
    .action(async (pattern: string, _flags, command: Command) => {
      const grantee = requireSubject(command, grantees);
      await administer(command, context, async (database) => {
        await removeGrant(database, pattern, grantee);
        const { kind, name } = grantee;
        return {
          text: `removed the grant of ${kind} ${name} on ${pattern}\n`,
          json: { pattern, kind, name, removed: true },
        };
      });
    });
  return withExamples(command, "berth grant remove 'acme/**' --team acme/developers");
}

function listCommand(context: Context): Command {
  const command = withSubjectFlags(withAdministrationFlags(new Command('list')), {
    user: 'Only grants of this user.',
    team: 'Only grants of this team.',
    robot: 'Only grants of this robot.',
  })
    .description('List the grants, or the rights of all accounts on one repository.')
    .addOption(
      new Option(
        '--repository <name>',
        'List the rights on this repository, from grants or otherwise; includes disabled accounts.',
      ).conflicts([...grantees]),
    )
    .action(async ({ repository }: { repository?: string }, command: Command) => {
      await consult(command, context, async (database) => {
        if (repository !== undefined) {
          const access = await accessTo(database, repository);
          return { text: accessTable(access), json: access };
        }
        const grants = (await grantsOf(database, subjectOf(command, grantees))).map(shown);
        return {
          text: table(
            ['PATTERN', 'ROLE', 'GRANTEE', 'SINCE'],
            grants.map(({ pattern, role, kind, name, createdAt }) => [
              pattern,
              role,
              `${kind} ${name}`,
              createdAt,
            ]),
          ),
          json: grants,
        };
      });
    });
  return withExamples(
    command,
    'berth grant list',
    'berth grant list --team acme/developers',
    'berth grant list --repository acme/app',
  );
}

function shown({ createdAt, ...grant }: GrantRow) {
  return { ...grant, createdAt: showTime(createdAt) };
}
