// berth team: groups of members of an organisation, which receive grants.
import { Argument, Option } from 'commander';
import { accountNamed } from '../administration/accounts.ts';
import { everyRow } from '../administration/every-row.ts';
import { changeTeam, createTeam, readTeam, removeTeam } from '../administration/teams.ts';
import { listTeams } from '../db/teams.ts';
import { requireChange } from './account-flags.ts';
import { describeFields, listAnswer } from './answer.ts';
import { subcommands } from './registry-command.ts';
import { teamMemberCommands } from './team-member.ts';

const team = new Argument('<org/team>', 'The team, with its organisation.');
const group = new Option('--group <group>', 'The group of the sign-on provider whose members join the team.');

export const teamCommand = subcommands(
  {
    name: 'create',
    description: 'Create a team.',
    arguments: [team],
    options: [group],
    examples: [
      'berth team create acme/developers',
      'berth team create acme/operations --group ops    filled from the group at each sign-on',
    ],
    async run(invocation, path: string, { group }: { group?: string }) {
      const database = await invocation.openForChanges();
      await createTeam(database, path, group === undefined ? {} : { group });
      return { text: `created the team ${path}\n`, json: await readTeam(database.read, path) };
    },
  },
  {
    name: 'set',
    description: 'Change a team; members from its former group leave it.',
    arguments: [team],
    options: [group, new Option('--no-group', 'Remove the group from the team.')],
    examples: ['berth team set acme/developers --group dev'],
    async run(invocation, path: string, { group }: { group?: string | false }) {
      const changes = group === undefined ? {} : { group: group === false ? null : group };
      requireChange(changes);
      const database = await invocation.openForChanges();
      await changeTeam(database, path, changes);
      return { text: `changed the team ${path}\n`, json: await readTeam(database.read, path) };
    },
  },
  {
    name: 'list',
    description: "List an organisation's teams.",
    arguments: [new Argument('<org>', 'The organisation.')],
    examples: ['berth team list acme'],
    async run(invocation, org: string) {
      const { read } = await invocation.openForReading();
      const { id } = await accountNamed(read, org, 'organisation');
      const teams = await everyRow((after, limit) => listTeams(read, id, after, limit));
      return listAnswer(
        teams.map(({ name, group }) => ({ name: `${org}/${name}`, group })),
        { TEAM: ({ name }) => name, GROUP: ({ group }) => group },
      );
    },
  },
  {
    name: 'show',
    description: 'Show a team and its members.',
    arguments: [team],
    examples: ['berth team show acme/developers'],
    async run(invocation, path: string) {
      const { read } = await invocation.openForReading();
      const json = await readTeam(read, path);
      const members = json.members.map(({ name, source }) => `${name} (${source})`);
      return { text: describeFields({ ...json, members }), json };
    },
  },
  {
    name: 'delete',
    description: 'Delete a team and its grants; its members stay in the organisation.',
    arguments: [team],
    examples: ['berth team delete acme/developers'],
    async run(invocation, path: string) {
      await removeTeam(await invocation.openForChanges(), path);
      return { text: `deleted the team ${path}\n`, json: { deleted: path } };
    },
  },
  { name: 'member', description: "A team's members.", commands: teamMemberCommands },
);
