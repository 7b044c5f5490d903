import { type Db, first, type Params, prepare } from './prepare.ts';

export interface Team {
  readonly id: number;
  readonly name: string;
  /** The group of the sign-on provider that fills the team. */
  readonly group: string | null;
}

const columns = ['teams.id', 'teams.name', 'teams.sso_group as group'] as const;

const selectByName = prepare((db, p: Params<{ organisation: number; name: string }>) =>
  db
    .selectFrom('teams')
    .select(columns)
    .where('organisation_id', '=', p('organisation'))
    .where('name', '=', p('name')),
);

export function findTeam(db: Db, organisation: number, name: string): Promise<Team | undefined> {
  return first(selectByName(db, { organisation, name }));
}

/** Returns the new team's id; `undefined` if the organisation has a team of this name. */
export async function insertTeam(
  db: Db,
  team: { readonly organisation: number; readonly name: string; readonly group: string | null },
  now: number,
): Promise<number | undefined> {
  const row = await db
    .insertInto('teams')
    .values({
      organisation_id: team.organisation,
      name: team.name,
      sso_group: team.group,
      created_at: now,
    })
    .onConflict((conflict) => conflict.columns(['organisation_id', 'name']).doNothing())
    .returning('id')
    .executeTakeFirst();
  return row?.id;
}

/** Sets the team's group and removes the members that the former group added. */
export async function setTeamGroup(db: Db, team: number, group: string | null): Promise<void> {
  const changed = await db
    .updateTable('teams')
    .set({ sso_group: group })
    .where('id', '=', team)
    .where('sso_group', 'is distinct from', group)
    .returning('id')
    .execute();
  if (changed.length === 0) return;
  await db.deleteFrom('team_members').where('team_id', '=', team).where('source', '=', 'sso').execute();
}

/** Deletes the team and its grants. */
export async function deleteTeam(db: Db, team: number): Promise<void> {
  await db.deleteFrom('teams').where('id', '=', team).execute();
}

const selectPage = prepare((db, p: Params<{ organisation: number; after: string; limit: number }>) =>
  db
    .selectFrom('teams')
    .select(columns)
    .where('organisation_id', '=', p('organisation'))
    .where('name', '>', p('after'))
    .orderBy('name')
    .limit(p('limit')),
);

/** An organisation's teams with names after `after` in byte order, at most `limit`. */
export function listTeams(db: Db, organisation: number, after: string, limit: number): Promise<Team[]> {
  return selectPage(db, { organisation, after, limit });
}
