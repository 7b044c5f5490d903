// berth org: organisations, which own namespaces.
import { Argument, Option } from 'commander';
import { everyRow } from '../administration/every-row.ts';
import {
  changeOrganisation,
  createOrganisation,
  deleteOrganisation,
  organisationSummary,
  readOrganisation,
} from '../administration/organisations.ts';
import { listAccounts } from '../db/accounts.ts';
import type { Visibility } from '../db/schema.ts';
import {
  type DisabledFlags,
  disabledOf,
  disabledOptions,
  requireChange,
  visibilityOption,
} from './account-flags.ts';
import { describeFields, listAnswer } from './answer.ts';
import { orgMemberCommands } from './org-member.ts';
import { subcommands } from './registry-command.ts';

const organisation = new Argument('<name>', 'The organisation.');

interface CreateFlags {
  readonly defaultVisibility?: Visibility;
  readonly admin?: string;
}

export const orgCommand = subcommands(
  {
    name: 'create',
    description: 'Create an organisation.',
    arguments: [new Argument('<name>', 'The name of the organisation and of its namespace.')],
    options: [
      visibilityOption(),
      new Option('--admin <user>', 'The user who becomes its first member, with the role admin.'),
    ],
    examples: ['berth org create acme --admin alice', 'berth org create charts --default-visibility public'],
    mayCreate: true,
    async run(invocation, name: string, { defaultVisibility, admin }: CreateFlags) {
      const database = await invocation.openForChanges();
      await createOrganisation(database, {
        name,
        ...(defaultVisibility !== undefined && { defaultVisibility }),
        ...(admin !== undefined && { admin }),
      });
      return {
        text: `created the organisation ${name}\n`,
        json: await readOrganisation(database.read, name),
      };
    },
  },
  {
    name: 'set',
    description: 'Change an organisation; settings without a flag do not change.',
    arguments: [organisation],
    options: [
      ...disabledOptions(
        'Disable the organisation: members, teams and robots lose the rights they have through it.',
      ),
      visibilityOption(),
    ],
    examples: ['berth org set acme --default-visibility public'],
    async run(invocation, name: string, flags: DisabledFlags & { defaultVisibility?: Visibility }) {
      const { defaultVisibility } = flags;
      const changes = {
        ...disabledOf(flags),
        ...(defaultVisibility !== undefined && { defaultVisibility }),
      };
      requireChange(changes);
      const database = await invocation.openForChanges();
      await changeOrganisation(database, name, changes);
      return {
        text: `changed the organisation ${name}\n`,
        json: await readOrganisation(database.read, name),
      };
    },
  },
  {
    name: 'list',
    description: 'List the organisations.',
    examples: ['berth org list'],
    async run(invocation) {
      const { read } = await invocation.openForReading();
      const rows = await everyRow((after, limit) => listAccounts(read, 'organisation', after, limit));
      return listAnswer(rows.map(organisationSummary), {
        NAME: ({ name }) => name,
        'NEW REPOSITORIES': ({ defaultVisibility }) => defaultVisibility,
        DISABLED: ({ disabled }) => disabled,
        CREATED: ({ createdAt }) => createdAt,
      });
    },
  },
  {
    name: 'show',
    description: 'Show an organisation, with its members, teams and robots.',
    arguments: [organisation],
    examples: ['berth org show acme'],
    async run(invocation, text: string) {
      const { read } = await invocation.openForReading();
      const json = await readOrganisation(read, text);
      const { name, defaultVisibility, disabled, createdAt: created, teams, robots } = json;
      const members = json.members.map(({ name, role }) => `${name} (${role})`);
      return {
        text: describeFields({
          ...{ name, 'new repositories': defaultVisibility, disabled, created },
          ...{ members, teams, robots },
        }),
        json,
      };
    },
  },
  {
    name: 'delete',
    description:
      'Delete an organisation whose repositories are empty, with its teams, robots, grants and trusts.',
    arguments: [organisation],
    examples: ['berth org delete acme'],
    async run(invocation, name: string) {
      await deleteOrganisation(await invocation.openForChanges(), name);
      return { text: `deleted the organisation ${name}\n`, json: { deleted: name } };
    },
  },
  { name: 'member', description: "An organisation's members.", commands: orgMemberCommands },
);
