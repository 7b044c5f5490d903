// berth user: accounts of people.

import { Command, Option } from 'commander';
import { accountNamed } from '../administration/accounts.ts';
import { randomPassword } from '../administration/new-password.ts';
import { changeUser, createUser, deleteUser, type UserChanges } from '../administration/users.ts';
import { listGrants } from '../db/grants.ts';
import { listMemberships } from '../db/members.ts';
import type { Db } from '../db/prepare.ts';
import type { Visibility } from '../db/schema.ts';
import { listTeamsOf } from '../db/team-members.ts';
import { findUserById, listUsers, type User } from '../db/users.ts';
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
import { readFirstLine } from './first-line.ts';
import { importHtpasswdCommand } from './import-htpasswd.ts';
import { fields, showTime, table } from './table.ts';
import { identitiesCommand, linkCommand, unlinkCommand } from './user-identities.ts';

export function userCommand(user: Command, context: Context): void {
  user.addCommand(createCommand(context));
  user.addCommand(setCommand(context));
  user.addCommand(listCommand(context));
  user.addCommand(showCommand(context));
  user.addCommand(deleteCommand(context));
  user.addCommand(importHtpasswdCommand(context));
  user.addCommand(linkCommand(context));
  user.addCommand(unlinkCommand(context));
  user.addCommand(identitiesCommand(context));
}

interface Flags {
  readonly mail?: string;
  readonly admin?: boolean;
  readonly tokenOnly?: boolean;
  readonly passwordStdin?: true;
  /** False: none. */
  readonly password: boolean;
  readonly defaultVisibility?: Visibility;
}

function withUserFlags(command: Command): Command {
  return withAdministrationFlags(command)
    .option('--mail <address>', "The user's mail address.")
    .option('--admin', 'Make the user an administrator of the registry.')
    .option('--token-only', 'Clients must log in with access tokens, not with the password.')
    .addOption(
      new Option('--password-stdin', 'Read the password from the first line of standard input.').conflicts(
        'password',
      ),
    )
    .addOption(passwordInArguments(command))
    .option('--no-password', 'No password: the user uses single sign-on or access tokens.')
    .addOption(visibilityOption());
}

/** Refuses a password in the arguments, which every user of the machine can read. */
function passwordInArguments(command: Command): Option {
  return new Option('--password <password>', 'Refused: see --password-stdin.')
    .default(true)
    .hideHelp()
    .argParser(() =>
      command.error(
        'error: a password in the arguments is visible to all users of this machine and kept in the shell history: ' +
          'give it on standard input, with --password-stdin',
      ),
    );
}

function createCommand(context: Context): Command {
  const command = withCreateFlag(withUserFlags(new Command('create')))
    .description('Create a user; without a password flag, a random password is printed.')
    .argument('<name>', 'The name of the user and of their namespace.')
    .action(async (name: string, flags: Flags, command: Command) => {
      const { mail, admin: administrator = false, tokenOnly = false, defaultVisibility } = flags;
      const given = flags.passwordStdin && (await readFirstLine(context));
      const random = given === undefined && flags.password ? randomPassword() : undefined;
      const password = given ?? random;
      await administer(command, context, async (database) => {
        await createUser(database, {
          name,
          administrator,
          tokenOnly,
          ...(mail !== undefined && { mail }),
          ...(password !== undefined && { password }),
          ...(defaultVisibility !== undefined && { defaultVisibility }),
        });
        const { json } = await describeUser(database.read, name);
        return {
          text: `created the user ${name}\n${random === undefined ? '' : `password: ${random}\n`}`,
          json: { ...json, ...(random !== undefined && { password: random }) },
        };
      });
    });
  return withExamples(
    command,
    'berth user create alice                                       with a random password, which is printed',
    'berth user create alice --admin --password-stdin < file       with the password in the first line of a file',
    'berth user create alice --admin --create                      before the first start of the registry',
    'berth user create bob --no-password --mail bob@example.com    for a user with single sign-on',
  );
}

function setCommand(context: Context): Command {
  const command = withDisabledFlags(
    withUserFlags(new Command('set')),
    'Disable the user: all their requests are refused at once.',
  )
    .description('Change a user; settings without a flag do not change.')
    .argument('<name>', 'The user.')
    .option('--no-admin', 'The user is no longer an administrator.')
    .option('--no-token-only', 'Clients may log in with the password again.')
    .action(async (name: string, flags: Flags & DisabledFlags, command: Command) => {
      const { mail, admin: administrator, tokenOnly, defaultVisibility } = flags;
      const changes: UserChanges = {
        ...disabledOf(flags),
        ...(mail !== undefined && { mail: mail === '' ? null : mail }),
        ...(administrator !== undefined && { administrator }),
        ...(tokenOnly !== undefined && { tokenOnly }),
        ...(defaultVisibility !== undefined && { defaultVisibility }),
        ...(!flags.password && { password: null }),
        ...(flags.passwordStdin && { password: await readFirstLine(context) }),
      };
      requireChange(command, changes);
      await administer(command, context, async (database) => {
        await changeUser(database, name, changes);
        const { json } = await describeUser(database.read, name);
        return {
          text: `changed the user ${name}\n`,
          json,
        };
      });
    });
  return withExamples(
    command,
    'berth user set alice --password-stdin < file    ends all logins with the former password',
    'berth user set alice --disabled                 deletes nothing, refuses everything',
    "berth user set alice --mail ''                  removes the address",
  );
}

function listCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('list'))
    .description('List the users.')
    .action(async (_flags, command: Command) => {
      await consult(command, context, async ({ read }) => {
        const users = (await everyRow((after, limit) => listUsers(read, after, limit))).map(shown);
        return {
          text: table(
            ['NAME', 'MAIL', 'ADMINISTRATOR', 'DISABLED', 'PASSWORD'],
            users.map((user) => [
              user.name,
              user.mail ?? '',
              yesOrNo(user.administrator),
              yesOrNo(user.disabled),
              passwordOf(user),
            ]),
          ),
          json: users,
        };
      });
    });
  return withExamples(
    command,
    'berth user list',
    "berth user list --json | jq -r '.[] | select(.administrator).name'",
  );
}

function showCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('show'))
    .description('Show a user with organisations, teams and own grants.')
    .argument('<name>', 'The user.')
    .action((name: string, _flags, command: Command) =>
      consult(command, context, ({ read }) => describeUser(read, name)),
    );
  return withExamples(command, 'berth user show alice');
}

function deleteCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('delete'))
    .description('Delete a user whose repositories are empty, with tokens, robots and grants.')
    .argument('<name>', 'The user.')
    .action(async (name: string, _flags, command: Command) => {
      await administer(command, context, async (database) => {
        await deleteUser(database, name);
        return {
          text: `deleted the user ${name}\n`,
          json: { deleted: name },
        };
      });
    });
  return withExamples(command, 'berth user delete alice');
}

/** Without the password hash, but with whether there is one. */
function shown({ name, mail, administrator, tokenOnly, disabledAt, password }: User) {
  return {
    name,
    mail,
    administrator,
    tokenOnly,
    disabled: disabledAt !== null,
    hasPassword: password !== null,
  };
}

function passwordOf({ hasPassword, tokenOnly }: ReturnType<typeof shown>): string {
  if (!hasPassword) return 'none';
  return tokenOnly ? 'not for clients' : 'yes';
}

async function describeUser(db: Db, text: string): Promise<Answer & { json: object }> {
  const account = await accountNamed(db, text, 'user');
  const user = shown((await findUserById(db, account.id)) as User);
  const organisations = (await listMemberships(db, account.id)).map(({ name, role }) => ({ name, role }));
  const teams = (await listTeamsOf(db, account.id)).map(({ organisation, name, source }) => ({
    name: `${organisation}/${name}`,
    source,
  }));
  const given = await listGrants(db, { account: account.id });
  const grants = given.map(({ pattern, role }) => ({ pattern, role }));
  const { defaultVisibility } = account;
  const createdAt = showTime(account.createdAt);
  return {
    text: fields({
      name: user.name,
      mail: user.mail ?? 'none',
      administrator: yesOrNo(user.administrator),
      disabled: yesOrNo(user.disabled),
      password: passwordOf(user),
      'new repositories': defaultVisibility,
      created: createdAt,
      organisations: organisations.map(({ name, role }) => `${name} (${role})`).join(', ') || 'none',
      teams: teams.map(({ name, source }) => `${name} (${source})`).join(', ') || 'none',
      grants: grants.map(({ pattern, role }) => `${pattern} (${role})`).join(', ') || 'none',
    }),
    json: { ...user, defaultVisibility, createdAt, organisations, teams, grants },
  };
}
