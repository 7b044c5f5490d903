// berth robot: accounts for machines, which log in with access tokens only.

import { Argument, Command } from 'commander';
import { accountNamed } from '../administration/accounts.ts';
import { changeRobot, createRobot, deleteRobot } from '../administration/robots.ts';
import { type Account, listAccounts, listRobotsOf } from '../db/accounts.ts';
import type { Db } from '../db/prepare.ts';
import {
  type DisabledFlags,
  disabledOf,
  requireChange,
  withDisabledFlags,
  yesOrNo,
} from './account-flags.ts';
import { administer, consult, withAdministrationFlags, withExamples } from './administration.ts';
import type { Context } from './context.ts';
import { everyRow } from './every-row.ts';
import { showTime, table } from './table.ts';

const robotName = new Argument(
  '<namespace+name>',
  'The robot, with the namespace of its user or organisation.',
);

export function robotCommand(robot: Command, context: Context): void {
  robot.addCommand(createCommand(context));
  robot.addCommand(setCommand(context));
  robot.addCommand(listCommand(context));
  robot.addCommand(deleteCommand(context));
}

function createCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('create'))
    .description('Create a robot; it needs a grant and an access token to do anything.')
    .addArgument(robotName)
    .action(async (name: string, _flags, command: Command) => {
      await administer(command, context, async (database) => {
        await createRobot(database, name);
        return {
          text: `created the robot ${name}\n`,
          json: await describeRobot(database.read, name),
        };
      });
    });
  return withExamples(command, 'berth robot create acme+deploy');
}

function setCommand(context: Context): Command {
  const command = withDisabledFlags(
    withAdministrationFlags(new Command('set')),
    'Disable the robot: all its requests are refused at once.',
  )
    .description('Change a robot.')
    .addArgument(robotName)
    .action(async (name: string, flags: DisabledFlags, command: Command) => {
      const changes = disabledOf(flags);
      requireChange(command, changes);
      await administer(command, context, async (database) => {
        await changeRobot(database, name, changes);
        return {
          text: `changed the robot ${name}\n`,
          json: await describeRobot(database.read, name),
        };
      });
    });
  return withExamples(command, 'berth robot set acme+deploy --disabled');
}

function listCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('list'))
    .description('List the robots.')
    .argument('[namespace]', 'Only robots of this user or organisation; default: all robots.')
    .action(async (namespace: string | undefined, _flags, command: Command) => {
      await consult(command, context, async ({ read }) => {
        const owner = namespace && (await accountNamed(read, namespace, 'organisation', 'user'));
        const rows = await everyRow((after, limit) =>
          owner ? listRobotsOf(read, owner.id, after, limit) : listAccounts(read, 'robot', after, limit),
        );
        const robots = rows.map(shown);
        return {
          text: table(
            ['NAME', 'DISABLED', 'CREATED'],
            robots.map(({ name, disabled, createdAt }) => [name, yesOrNo(disabled), createdAt]),
          ),
          json: robots,
        };
      });
    });
  return withExamples(command, 'berth robot list', 'berth robot list acme');
}

function deleteCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('delete'))
    .description('Delete a robot with its tokens and grants.')
    .addArgument(robotName)
    .action(async (name: string, _flags, command: Command) => {
      await administer(command, context, async (database) => {
        await deleteRobot(database, name);
        return {
          text: `deleted the robot ${name}\n`,
          json: { deleted: name },
        };
      });
    });
  return withExamples(command, 'berth robot delete acme+deploy');
}

function shown({ name, disabledAt, createdAt }: Account) {
  return { name, disabled: disabledAt !== null, createdAt: showTime(createdAt) };
}

async function describeRobot(db: Db, name: string): Promise<ReturnType<typeof shown>> {
  return shown(await accountNamed(db, name, 'robot'));
}
