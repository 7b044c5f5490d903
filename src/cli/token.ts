// berth token: access tokens of users and robots.

import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { accessTokensOf, createAccessToken, revokeAccessToken } from '../administration/access-tokens.ts';
import { parseDuration } from '../config/units.ts';
import type { AccessTokenRow } from '../db/access-tokens.ts';
import type { Origin } from '../db/origins.ts';
import { administer, consult, withAdministrationFlags, withExamples } from './administration.ts';
import type { Context } from './context.ts';
import { requireSubject, subjectOf, withSubjectFlags } from './subject-flags.ts';
import { showTime, table } from './table.ts';

const owners = ['user', 'robot'] as const;
const defaultLifetime = '90d';

export function tokenCommand(token: Command, context: Context): void {
  token.addCommand(createCommand(context));
  token.addCommand(listCommand(context));
  token.addCommand(revokeCommand(context));
}

interface CreateFlags {
  readonly name?: string;
  readonly scope: readonly string[];
  readonly expires?: number | 'never';
}

function createCommand(context: Context): Command {
  const command = withSubjectFlags(withAdministrationFlags(new Command('create')), {
    user: 'The owner of the token.',
    robot: 'The owner of the token.',
  })
    .description('Create an access token and print it once; Berth keeps only a hash.')
    .option('--name <text>', 'The name of the token.')
    .addOption(
      new Option(
        '--scope <scope>',
        'Limits the token, as repository:PATTERN:ACTIONS; may be given more than once. Without a scope it has all rights of its owner.',
      )
        .argParser((scope: string, before: readonly string[]) => [...before, scope])
        .default([], 'none'),
    )
    .addOption(
      new Option(
        '--expires <duration>',
        `The lifetime of the token, such as 30d or 12h, or never; default: ${defaultLifetime}.`,
      ).argParser(parseExpiry),
    )
    .action(async ({ name, scope, expires }: CreateFlags, command: Command) => {
      const owner = requireSubject(command, owners);
      const lifetime = expires === 'never' ? null : (expires ?? (parseDuration(defaultLifetime) as number));
      await administer(command, context, async (database) => {
        const made = await createAccessToken(database, {
          owner,
          scopes: scope,
          lifetime,
          ...(name !== undefined && { name }),
        });
        const expiresAt = showEnd(made.expiresAt);
        if (expires === undefined) {
          context.err(
            `berth: the token expires in ${defaultLifetime}, at ${expiresAt}; --expires sets another lifetime, or never\n`,
          );
        }
        return {
          text: `${made.token}\n`,
          json: { id: made.id, token: made.token, expiresAt },
        };
      });
    });
  return withExamples(
    command,
    'berth token create --user alice --expires 30d',
    "berth token create --robot acme+deploy --name 'GitHub' --scope 'repository:acme/*:pull,push' --expires never",
  );
}

function parseExpiry(text: string): number | 'never' {
  if (text === 'never') return text;
  const milliseconds = parseDuration(text);
  if (milliseconds !== undefined) return milliseconds;
  throw new InvalidArgumentError('Expected a duration such as 30d or 12h, or never.');
}

function listCommand(context: Context): Command {
  const command = withSubjectFlags(withAdministrationFlags(new Command('list')), {
    user: 'Only tokens of this user.',
    robot: 'Only tokens of this robot.',
  })
    .description('List access tokens, also revoked and expired ones, without the tokens themselves.')
    .action(async (_flags, command: Command) => {
      await consult(command, context, async (database) => {
        const tokens = (await accessTokensOf(database, subjectOf(command, owners))).map(shown);
        return {
          text: table(
            [
              'ID',
              'NAME',
              'OWNER',
              'SCOPES',
              'CREATED',
              'EXPIRES',
              'MADE BY',
              'LAST USED',
              'FROM',
              'REVOKED',
            ],
            tokens.map((token) => [
              String(token.id),
              token.name,
              `${token.ownerKind} ${token.owner}`,
              token.scopes.join(' ') || 'all',
              token.createdAt,
              token.expiresAt ?? 'never',
              token.madeBy,
              token.lastUsedAt ?? 'never',
              token.lastUsedFrom ?? '',
              token.revokedAt ?? '',
            ]),
          ),
          json: tokens,
        };
      });
    });
  return withExamples(command, 'berth token list', 'berth token list --robot acme+deploy');
}

function shown(token: AccessTokenRow) {
  const { id, name, owner, ownerKind, scopes, createdAt, expiresAt, lastUsedAt, lastUsedFrom, revokedAt } =
    token;
  return {
    id,
    name,
    owner,
    ownerKind,
    scopes: scopes === '' ? [] : scopes.split(' '),
    createdAt: showTime(createdAt),
    expiresAt: showEnd(expiresAt),
    madeBy: madeBy(token),
    lastUsedAt: showEnd(lastUsedAt),
    lastUsedFrom,
    revokedAt: showEnd(revokedAt),
  };
}

/** The login on the account page that created the token; the token ends with it. */
function madeBy({ originPassword, originIdentity, originToken }: Origin): string {
  if (originToken !== null) return `token ${originToken}`;
  if (originPassword !== null) return 'password';
  return originIdentity === null ? 'administrator' : 'single sign-on';
}

function showEnd(time: number | null): string | null {
  return time === null ? null : showTime(time);
}

function revokeCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('revoke'))
    .description('Revoke an access token: logins and pushes with it are refused at once.')
    .addArgument(new Argument('<id>', 'The id from `berth token list`.').argParser(parseId))
    .action(async (id: number, _flags, command: Command) => {
      await administer(command, context, async (database) => {
        const revokedAt = showTime(await revokeAccessToken(database, id));
        return {
          text: `token ${id} was revoked at ${revokedAt}\n`,
          json: { id, revokedAt },
        };
      });
    });
  return withExamples(command, 'berth token revoke 7');
}

function parseId(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a number.');
}
