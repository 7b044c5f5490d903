// berth robot: accounts for machines, which log in with access tokens only.
import { Argument } from 'commander';
import { accountNamed } from '../administration/accounts.ts';
import { everyRow } from '../administration/every-row.ts';
import { changeRobot, createRobot, deleteRobot, readRobot, robotSummary } from '../administration/robots.ts';
import { listAccounts, listRobotsOf } from '../db/accounts.ts';
import { type DisabledFlags, disabledOf, disabledOptions, requireChange } from './account-flags.ts';
import { listAnswer } from './answer.ts';
import { subcommands } from './registry-command.ts';

const robot = new Argument('<namespace+name>', 'The robot, with the namespace of its user or organisation.');

export const robotCommand = subcommands(
  {
    name: 'create',
    description: 'Create a robot; it needs a grant and an access token to do anything.',
    arguments: [robot],
    examples: ['berth robot create acme+deploy'],
    async run(invocation, name: string) {
      const database = await invocation.openForChanges();
      await createRobot(database, name);
      return { text: `created the robot ${name}\n`, json: await readRobot(database.read, name) };
    },
  },
  {
    name: 'set',
    description: 'Change a robot.',
    arguments: [robot],
    options: disabledOptions('Disable the robot: all its requests are refused at once.'),
    examples: ['berth robot set acme+deploy --disabled'],
    async run(invocation, name: string, flags: DisabledFlags) {
      const changes = disabledOf(flags);
      requireChange(changes);
      const database = await invocation.openForChanges();
      await changeRobot(database, name, changes);
      return { text: `changed the robot ${name}\n`, json: await readRobot(database.read, name) };
    },
  },
  {
    name: 'list',
    description: 'List the robots.',
    arguments: [
      new Argument('[namespace]', 'Only robots of this user or organisation; default: all robots.'),
    ],
    examples: ['berth robot list', 'berth robot list acme'],
    async run(invocation, namespace: string | undefined) {
      const { read } = await invocation.openForReading();
      const owner = namespace && (await accountNamed(read, namespace, 'organisation', 'user'));
      const rows = await everyRow((after, limit) =>
        owner ? listRobotsOf(read, owner.id, after, limit) : listAccounts(read, 'robot', after, limit),
      );
      return listAnswer(rows.map(robotSummary), {
        NAME: ({ name }) => name,
        DISABLED: ({ disabled }) => disabled,
        CREATED: ({ createdAt }) => createdAt,
      });
    },
  },
  {
    name: 'delete',
    description: 'Delete a robot with its tokens and grants.',
    arguments: [robot],
    examples: ['berth robot delete acme+deploy'],
    async run(invocation, name: string) {
      await deleteRobot(await invocation.openForChanges(), name);
      return { text: `deleted the robot ${name}\n`, json: { deleted: name } };
    },
  },
);
