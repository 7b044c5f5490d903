// berth token: access tokens of users and robots.
import { Argument, InvalidArgumentError, Option } from 'commander';
import { accessTokensOf, createAccessToken, revokeAccessToken } from '../administration/access-tokens.ts';
import { showTime } from '../administration/show-time.ts';
import { parseDuration } from '../config/units.ts';
import type { AccessTokenRow } from '../db/access-tokens.ts';
import type { Origin } from '../db/origins.ts';
import { listAnswer } from './answer.ts';
import { subcommands } from './registry-command.ts';
import { requireSubject, type SubjectFlags, subjectOf, subjectOptions } from './subject-flags.ts';

const owners = ['user', 'robot'] as const;
const defaultLifetime = '90d';

interface CreateFlags extends SubjectFlags {
  readonly name?: string;
  readonly scope: readonly string[];
  readonly expires?: number | 'never';
}

export const tokenCommand = subcommands(
  {
    name: 'create',
    description: 'Create an access token and print it once; Berth stores only a hash.',
    options: [
      ...subjectOptions({ user: 'The owner of the token.', robot: 'The owner of the token.' }),
      new Option('--name <text>', 'The name of the token.'),
      new Option(
        '--scope <scope>',
        'A limit of the token: repository:PATTERN:ACTIONS; may be given more than once. Without a scope the token has all rights of its owner.',
      )
        .argParser((scope: string, before: readonly string[]) => [...before, scope])
        .default([], 'none'),
      new Option(
        '--expires <duration>',
        `The lifetime of the token, such as 30d or 12h, or never; default: ${defaultLifetime}.`,
      ).argParser(parseExpiry),
    ],
    examples: [
      'berth token create --user alice --expires 30d',
      "berth token create --robot acme+deploy --name 'GitHub' --scope 'repository:acme/*:pull,push' --expires never",
    ],
    async run(invocation, { name, scope: scopes, expires, ...flags }: CreateFlags) {
      const owner = requireSubject(flags, owners);
      const lifetime = expires === 'never' ? null : (expires ?? (parseDuration(defaultLifetime) as number));
      const { id, token, ...made } = await createAccessToken(await invocation.openForChanges(), {
        owner,
        scopes,
        lifetime,
        ...(name !== undefined && { name }),
      });
      const expiresAt = showOptionalTime(made.expiresAt);
      if (expires === undefined) {
        invocation.warn(
          `the token expires in ${defaultLifetime}, at ${expiresAt}; --expires sets another lifetime, or never`,
        );
      }
      return { text: `${token}\n`, json: { id, token, expiresAt } };
    },
  },
  {
    name: 'list',
    description: 'List access tokens, also revoked and expired ones, without the tokens themselves.',
    options: subjectOptions({ user: 'Only tokens of this user.', robot: 'Only tokens of this robot.' }),
    examples: ['berth token list', 'berth token list --robot acme+deploy'],
    async run(invocation, flags: SubjectFlags) {
      const tokens = await accessTokensOf(await invocation.openForReading(), subjectOf(flags, owners));
      return listAnswer(tokens.map(asJson), {
        ID: ({ id }) => id,
        NAME: ({ name }) => name,
        OWNER: ({ ownerKind, owner }) => `${ownerKind} ${owner}`,
        SCOPES: ({ scopes }) => scopes.join(' ') || 'all',
        CREATED: ({ createdAt }) => createdAt,
        EXPIRES: ({ expiresAt }) => expiresAt ?? 'never',
        'MADE BY': ({ madeBy }) => madeBy,
        'LAST USED': ({ lastUsedAt }) => lastUsedAt ?? 'never',
        FROM: ({ lastUsedFrom }) => lastUsedFrom,
        REVOKED: ({ revokedAt }) => revokedAt,
      });
    },
  },
  {
    name: 'revoke',
    description: 'Revoke an access token: logins and pushes with it are refused at once.',
    arguments: [new Argument('<id>', 'The id from `berth token list`.').argParser(parseId)],
    examples: ['berth token revoke 7'],
    async run(invocation, id: number) {
      const revokedAt = showTime(await revokeAccessToken(await invocation.openForChanges(), id));
      return { text: `token ${id} was revoked at ${revokedAt}\n`, json: { id, revokedAt } };
    },
  },
);

function parseExpiry(text: string): number | 'never' {
  if (text === 'never') return text;
  const milliseconds = parseDuration(text);
  if (milliseconds !== undefined) return milliseconds;
  throw new InvalidArgumentError('Expected a duration such as 30d or 12h, or never.');
}

function parseId(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a number.');
}

function asJson(token: AccessTokenRow) {
  const { id, name, owner, ownerKind, scopes, createdAt, expiresAt, lastUsedAt, lastUsedFrom, revokedAt } =
    token;
  return {
    id,
    name,
    owner,
    ownerKind,
    scopes: scopes === '' ? [] : scopes.split(' '),
    createdAt: showTime(createdAt),
    expiresAt: showOptionalTime(expiresAt),
    madeBy: madeBy(token),
    lastUsedAt: showOptionalTime(lastUsedAt),
    lastUsedFrom,
    revokedAt: showOptionalTime(revokedAt),
  };
}

/** The credential of the login on the account page that created the token, or `administrator` if none did. */
function madeBy({ originPassword, originIdentity, originToken }: Origin): string {
  if (originToken !== null) return `token ${originToken}`;
  if (originPassword !== null) return 'password';
  return originIdentity === null ? 'administrator' : 'single sign-on';
}

function showOptionalTime(time: number | null): string | null {
  return time === null ? null : showTime(time);
}
