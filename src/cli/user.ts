// berth user: accounts of people.
import { Argument, Option } from 'commander';
import { everyRow } from '../administration/every-row.ts';
import { randomPassword } from '../administration/new-password.ts';
import {
  changeUser,
  createUser,
  deleteUser,
  readUser,
  type UserChanges,
  type UserSummary,
  userSummary,
} from '../administration/users.ts';
import type { Visibility } from '../db/schema.ts';
import { listUsers } from '../db/users.ts';
import { UsageError } from '../failure.ts';
import {
  type DisabledFlags,
  disabledOf,
  disabledOptions,
  requireChange,
  visibilityOption,
} from './account-flags.ts';
import { describeFields, listAnswer } from './answer.ts';
import { readFirstLine } from './first-line.ts';
import { importHtpasswdCommand } from './import-htpasswd.ts';
import { subcommands } from './registry-command.ts';
import { identityCommands } from './user-identities.ts';

interface Flags {
  readonly mail?: string;
  readonly admin?: boolean;
  readonly tokenOnly?: boolean;
  readonly passwordStdin?: true;
  /** False with `--no-password`. */
  readonly password: boolean;
  readonly defaultVisibility?: Visibility;
}

const options = [
  new Option('--mail <address>', "The user's mail address."),
  new Option('--admin', 'Make the user an administrator of the registry.'),
  new Option('--token-only', 'Clients must log in with access tokens, not with the password.'),
  new Option('--password-stdin', 'Read the password from the first line of standard input.').conflicts(
    'password',
  ),
  new Option('--password <password>', 'Refused: see --password-stdin.')
    .default(true)
    .hideHelp()
    .argParser(refusePassword),
  new Option('--no-password', 'No password: the user uses single sign-on or access tokens.'),
  visibilityOption(),
];

function refusePassword(): never {
  throw new UsageError(
    'a password in the arguments is visible to all users of this machine and kept in the shell history: ' +
      'give it on standard input, with --password-stdin',
  );
}

const user = new Argument('<name>', 'The user.');

export const userCommand = subcommands(
  {
    name: 'create',
    description: 'Create a user; without a password flag, a random password is printed.',
    arguments: [new Argument('<name>', 'The name of the user and of their namespace.')],
    options,
    examples: [
      'berth user create alice                                       with a random password, which is printed',
      'berth user create alice --admin --password-stdin < file       with the password in the first line of a file',
      'berth user create alice --admin --create                      before the first start of the registry',
      'berth user create bob --no-password --mail bob@example.com    for a user with single sign-on',
    ],
    mayCreate: true,
    async run(invocation, name: string, flags: Flags) {
      const { mail, admin: administrator = false, tokenOnly = false, defaultVisibility } = flags;
      const given = flags.passwordStdin && (await readFirstLine(invocation.context));
      const random = given === undefined && flags.password ? randomPassword() : undefined;
      const password = given ?? random;
      const database = await invocation.openForChanges();
      await createUser(database, {
        name,
        administrator,
        tokenOnly,
        ...(mail !== undefined && { mail }),
        ...(password !== undefined && { password }),
        ...(defaultVisibility !== undefined && { defaultVisibility }),
      });
      const json = await readUser(database.read, name);
      return {
        text: `created the user ${name}\n${random === undefined ? '' : `password: ${random}\n`}`,
        json: { ...json, ...(random !== undefined && { password: random }) },
      };
    },
  },
  {
    name: 'set',
    description: 'Change a user; settings without a flag do not change.',
    arguments: [user],
    options: [
      ...options,
      ...disabledOptions('Disable the user: all their requests are refused at once.'),
      new Option('--no-admin', 'The user is no longer an administrator.'),
      new Option('--no-token-only', 'Clients may log in with the password again.'),
    ],
    examples: [
      'berth user set alice --password-stdin < file    ends all logins with the former password',
      'berth user set alice --disabled                 deletes nothing, refuses everything',
      "berth user set alice --mail ''                  removes the address",
    ],
    async run(invocation, name: string, flags: Flags & DisabledFlags) {
      const { mail, admin: administrator, tokenOnly, defaultVisibility } = flags;
      const changes: UserChanges = {
        ...disabledOf(flags),
        ...(mail !== undefined && { mail: mail === '' ? null : mail }),
        ...(administrator !== undefined && { administrator }),
        ...(tokenOnly !== undefined && { tokenOnly }),
        ...(defaultVisibility !== undefined && { defaultVisibility }),
        ...(!flags.password && { password: null }),
        ...(flags.passwordStdin && { password: await readFirstLine(invocation.context) }),
      };
      requireChange(changes);
      const database = await invocation.openForChanges();
      await changeUser(database, name, changes);
      return { text: `changed the user ${name}\n`, json: await readUser(database.read, name) };
    },
  },
  {
    name: 'list',
    description: 'List the users.',
    examples: ['berth user list', "berth user list --json | jq -r '.[] | select(.administrator).name'"],
    async run(invocation) {
      const { read } = await invocation.openForReading();
      const users = await everyRow((after, limit) => listUsers(read, after, limit));
      return listAnswer(users.map(userSummary), {
        NAME: ({ name }) => name,
        MAIL: ({ mail }) => mail,
        ADMINISTRATOR: ({ administrator }) => administrator,
        DISABLED: ({ disabled }) => disabled,
        PASSWORD: passwordOf,
      });
    },
  },
  {
    name: 'show',
    description: 'Show a user with organisations, teams and own grants.',
    arguments: [user],
    examples: ['berth user show alice'],
    async run(invocation, text: string) {
      const { read } = await invocation.openForReading();
      const json = await readUser(read, text);
      const { name, mail, administrator, disabled, defaultVisibility, createdAt: created } = json;
      return {
        text: describeFields({
          ...{ name, mail, administrator, disabled, password: passwordOf(json) },
          ...{ 'new repositories': defaultVisibility, created },
          organisations: json.organisations.map(({ name, role }) => `${name} (${role})`),
          teams: json.teams.map(({ name, source }) => `${name} (${source})`),
          grants: json.grants.map(({ pattern, role }) => `${pattern} (${role})`),
        }),
        json,
      };
    },
  },
  {
    name: 'delete',
    description: 'Delete a user with their tokens, robots and grants; their repositories must be empty.',
    arguments: [user],
    examples: ['berth user delete alice'],
    async run(invocation, name: string) {
      await deleteUser(await invocation.openForChanges(), name);
      return { text: `deleted the user ${name}\n`, json: { deleted: name } };
    },
  },
  importHtpasswdCommand,
  ...identityCommands,
);

function passwordOf({ hasPassword, tokenOnly }: UserSummary): string {
  if (!hasPassword) return 'none';
  return tokenOnly ? 'not for clients' : 'yes';
}
