// berth org member: the members of an organisation, with their roles in its namespace.
import { Argument, Option } from 'commander';
import { roles } from '../access/rights.ts';
import { accountNamed } from '../administration/accounts.ts';
import { everyRow } from '../administration/every-row.ts';
import { removeOrganisationMember, setOrganisationMember } from '../administration/organisations.ts';
import { listMembers } from '../db/members.ts';
import type { MemberRole } from '../db/schema.ts';
import { listAnswer } from './answer.ts';
import type { RegistryCommand } from './registry-command.ts';

const organisation = new Argument('<org>', 'The organisation.');
const user = new Argument('<user>', 'The user.');

export const orgMemberCommands: readonly RegistryCommand[] = [
  {
    name: 'add',
    description: "Add a member, or change a member's role.",
    arguments: [organisation, user],
    options: [
      new Option('--role <role>', "The member's role in all of the organisation's repositories.")
        .choices(['none', ...roles])
        .default('read'),
    ],
    examples: [
      'berth org member add acme alice --role admin',
      'berth org member add acme bob --role none    rights only from teams and grants',
    ],
    async run(invocation, org: string, name: string, { role }: { role: MemberRole }) {
      await setOrganisationMember(await invocation.openForChanges(), org, name, role);
      return {
        text: `${name} is a member of ${org} with the role ${role}\n`,
        json: { organisation: org, name, role },
      };
    },
  },
  {
    name: 'remove',
    description: 'Remove a user from an organisation and its teams.',
    arguments: [organisation, user],
    examples: ['berth org member remove acme bob'],
    async run(invocation, org: string, name: string) {
      await removeOrganisationMember(await invocation.openForChanges(), org, name);
      return { text: `removed ${name} from ${org}\n`, json: { organisation: org, removed: name } };
    },
  },
  {
    name: 'list',
    description: "List an organisation's members.",
    arguments: [organisation],
    examples: ['berth org member list acme'],
    async run(invocation, org: string) {
      const { read } = await invocation.openForReading();
      const { id } = await accountNamed(read, org, 'organisation');
      const members = await everyRow((after, limit) => listMembers(read, id, after, limit));
      return listAnswer(
        members.map(({ name, role }) => ({ name, role })),
        { NAME: ({ name }) => name, ROLE: ({ role }) => role },
      );
    },
  },
];
