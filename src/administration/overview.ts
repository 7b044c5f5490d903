// A user's own account, for the account page.

import { isInForce } from '../access/origin.ts';
import { type AccessTokenRow, listUsableTokens } from '../db/access-tokens.ts';
import type { Database } from '../db/database.ts';
import { type IdentityRow, listIdentities } from '../db/identities.ts';
import { listMemberships, type Member } from '../db/members.ts';
import { listTeamsOf, type TeamOfUser } from '../db/team-members.ts';
import { findUserById, type User } from '../db/users.ts';

export interface Overview {
  readonly user: User;
  readonly memberships: readonly Member[];
  readonly teams: readonly TeamOfUser[];
  readonly identities: readonly IdentityRow[];
  /** The newest hundred valid tokens, newest first. */
  readonly tokens: readonly AccessTokenRow[];
}

const maxTokens = 100;

/** `undefined` if the user does not exist any more. */
export function userOf(database: Database, account: number): Promise<User | undefined> {
  return findUserById(database.read, account);
}

/**
 * `undefined` if the user does not exist any more.
 * @param passwordLogin whether passwords are accepted (`access.passwordLogin`)
 */
export async function overviewOf(
  database: Database,
  account: number,
  passwordLogin: boolean,
): Promise<Overview | undefined> {
  const user = await findUserById(database.read, account);
  if (user === undefined) return undefined;
  const moment = { now: database.clock(), passwordLogin };
  const tokens = await listUsableTokens(database.read, account, moment, maxTokens);
  return {
    user,
    memberships: await listMemberships(database.read, account),
    teams: await listTeamsOf(database.read, account),
    identities: await listIdentities(database.read, account),
    tokens: tokens.filter((token) => isInForce(token, moment)).toReversed(),
  };
}
