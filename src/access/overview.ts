// What somebody is shown of their own account.
import type { AccessTokenRow } from '../db/access-tokens.ts';
import type { Database } from '../db/database.ts';
import { listMemberships, type Member } from '../db/members.ts';
import { listTeamsOf, type TeamOfUser } from '../db/team-members.ts';
import { findUserById, type User } from '../db/users.ts';
import { accessTokensOf, revokeAccessToken } from './administration/access-tokens.ts';
import { Refused } from './administration/refused.ts';

export interface Overview {
  readonly user: User;
  readonly memberships: readonly Member[];
  readonly teams: readonly TeamOfUser[];
  /** That can still be used, the newest first. */
  readonly tokens: readonly AccessTokenRow[];
}

/** `undefined` when the user is gone. */
export async function overviewOf(database: Database, account: number): Promise<Overview | undefined> {
  const user = await findUserById(database.read, account);
  if (user === undefined) return undefined;
  const now = database.clock();
  const tokens = await accessTokensOf(database, { kind: 'user', name: user.name });
  return {
    user,
    memberships: await listMemberships(database.read, account),
    teams: await listTeamsOf(database.read, account),
    tokens: tokens.filter((token) => isUsable(token, now)).toReversed(),
  };
}

function isUsable({ revokedAt, expiresAt }: AccessTokenRow, now: number): boolean {
  return revokedAt === null && (expiresAt === null || expiresAt > now);
}

/** Ends a token of the user's own. @throws Refused when they have none of that id */
export async function endOwnToken(database: Database, name: string, id: number): Promise<void> {
  const own = await accessTokensOf(database, { kind: 'user', name });
  if (!own.some((token) => token.id === id)) throw new Refused('you have no such token');
  await revokeAccessToken(database, id);
}
