import type { Namespace } from '../oci/name.ts';
import { type Db, type Params, prepare } from './prepare.ts';

/** `local`: added by hand; `sso`: by a group of the sign-on provider. An account may be in a team both ways. */
export type TeamMemberSource = 'local' | 'sso';

/** Adds the account to the team; false when it is a member already from the same source. */
export async function addTeamMember(
  db: Db,
  team: number,
  account: number,
  source: TeamMemberSource,
): Promise<boolean> {
  const added = await db
    .insertInto('team_members')
    .values({ team_id: team, account_id: account, source })
    .onConflict((conflict) => conflict.columns(['team_id', 'account_id', 'source']).doNothing())
    .returning('account_id')
    .execute();
  return added.length > 0;
}

/** False when the account was not in the team by this source. */
export async function removeTeamMember(
  db: Db,
  team: number,
  account: number,
  source: TeamMemberSource,
): Promise<boolean> {
  const removed = await db
    .deleteFrom('team_members')
    .where('team_id', '=', team)
    .where('account_id', '=', account)
    .where('source', '=', source)
    .returning('account_id')
    .execute();
  return removed.length > 0;
}

/** Removes the account from all teams of the organisation, whatever the source. */
export async function leaveTeams(db: Db, organisation: number, account: number): Promise<void> {
  await db
    .deleteFrom('team_members')
    .where('account_id', '=', account)
    .where('team_id', 'in', (teams) =>
      teams.selectFrom('teams').select('teams.id').where('teams.organisation_id', '=', organisation),
    )
    .execute();
}

export interface TeamMember {
  readonly id: number;
  readonly name: Namespace;
  readonly source: TeamMemberSource;
}

const selectMembers = prepare((db, p: Params<{ team: number }>) =>
  db
    .selectFrom('team_members')
    .innerJoin('accounts', 'accounts.id', 'team_members.account_id')
    .select(['accounts.id', 'accounts.name', 'team_members.source'])
    .where('team_members.team_id', '=', p('team'))
    .orderBy('accounts.name')
    .orderBy('team_members.source'),
);

/** By name; an account that is in the team both ways is listed twice. */
export function listTeamMembers(db: Db, team: number): Promise<TeamMember[]> {
  return selectMembers(db, { team }) as Promise<TeamMember[]>;
}

export interface TeamOfUser {
  readonly id: number;
  readonly organisation: Namespace;
  readonly name: string;
  readonly source: TeamMemberSource;
}

const selectTeams = prepare((db, p: Params<{ account: number }>) =>
  db
    .selectFrom('team_members')
    .innerJoin('teams', 'teams.id', 'team_members.team_id')
    .innerJoin('accounts', 'accounts.id', 'teams.organisation_id')
    .select(['teams.id', 'accounts.name as organisation', 'teams.name', 'team_members.source'])
    .where('team_members.account_id', '=', p('account'))
    .orderBy('accounts.name')
    .orderBy('teams.name')
    .orderBy('team_members.source'),
);

/** The account's teams, by name; a team that it is in both ways is listed twice. */
export function listTeamsOf(db: Db, account: number): Promise<TeamOfUser[]> {
  return selectTeams(db, { account }) as Promise<TeamOfUser[]>;
}
