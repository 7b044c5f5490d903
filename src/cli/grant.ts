// berth grant: gives accounts and teams roles on repositories.
import { Argument, Option } from 'commander';
import { roles } from '../access/rights.ts';
import { grantsOf, removeGrant, setGrant } from '../administration/grants.ts';
import { accessTo } from '../administration/repositories.ts';
import { showTime } from '../administration/show-time.ts';
import type { GrantRow } from '../db/grants.ts';
import type { Role } from '../db/schema.ts';
import { accessAnswer } from './access-table.ts';
import { listAnswer } from './answer.ts';
import { subcommands } from './registry-command.ts';
import { requireSubject, type SubjectFlags, subjectOf, subjectOptions } from './subject-flags.ts';

const grantees = ['user', 'team', 'robot'] as const;

const pattern = new Argument(
  '<pattern>',
  'A repository or a pattern: * matches any part of one component, ** any components, as in acme/web-* and acme/**.',
);

export const grantCommand = subcommands(
  {
    name: 'set',
    description: 'Give a role on repositories; replaces the grant with the same pattern.',
    arguments: [pattern],
    options: [
      ...subjectOptions({
        user: 'The user to give the role to.',
        team: 'The team to give the role to; all of its members get it.',
        robot: 'The robot to give the role to.',
      }),
      new Option('--role <role>', 'The role.').choices(roles).makeOptionMandatory(),
    ],
    examples: [
      'berth grant set acme/app --user alice --role write',
      "berth grant set 'acme/**' --team acme/developers --role read",
      'berth grant set acme/app --robot acme+deploy --role read',
    ],
    async run(invocation, pattern: string, { role, ...flags }: SubjectFlags & { role: Role }) {
      const grantee = requireSubject(flags, grantees);
      const { warning } = await setGrant(await invocation.openForChanges(), { pattern, grantee, role });
      if (warning !== undefined) invocation.warn(warning);
      const { kind, name } = grantee;
      return { text: `${kind} ${name} has ${role} on ${pattern}\n`, json: { pattern, role, kind, name } };
    },
  },
  {
    name: 'remove',
    description: 'Remove a grant, given its pattern.',
    arguments: [pattern],
    options: subjectOptions({
      user: 'The user who has the grant.',
      team: 'The team that has the grant.',
      robot: 'The robot that has the grant.',
    }),
    examples: ["berth grant remove 'acme/**' --team acme/developers"],
    async run(invocation, pattern: string, flags: SubjectFlags) {
      const { kind, name } = requireSubject(flags, grantees);
      await removeGrant(await invocation.openForChanges(), pattern, { kind, name });
      return {
        text: `removed the grant of ${kind} ${name} on ${pattern}\n`,
        json: { pattern, kind, name, removed: true },
      };
    },
  },
  {
    name: 'list',
    description: 'List the grants, or the rights of all accounts on one repository.',
    options: [
      ...subjectOptions({
        user: 'Only grants of this user.',
        team: 'Only grants of this team.',
        robot: 'Only grants of this robot.',
      }),
      new Option(
        '--repository <name>',
        'List the rights on this repository, from grants or otherwise; includes disabled accounts.',
      ).conflicts([...grantees]),
    ],
    examples: [
      'berth grant list',
      'berth grant list --team acme/developers',
      'berth grant list --repository acme/app',
    ],
    async run(invocation, { repository, ...flags }: SubjectFlags & { repository?: string }) {
      const database = await invocation.openForReading();
      if (repository !== undefined) return accessAnswer(await accessTo(database, repository));
      return listAnswer((await grantsOf(database, subjectOf(flags, grantees))).map(asJson), {
        PATTERN: ({ pattern }) => pattern,
        ROLE: ({ role }) => role,
        GRANTEE: ({ kind, name }) => `${kind} ${name}`,
        SINCE: ({ createdAt }) => createdAt,
      });
    },
  },
);

function asJson({ createdAt, ...grant }: GrantRow) {
  return { ...grant, createdAt: showTime(createdAt) };
}
