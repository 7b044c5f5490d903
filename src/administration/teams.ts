import { Refused } from '../access/refused.ts';
import type { Account } from '../db/accounts.ts';
import { findMemberRole } from '../db/members.ts';
import type { Db } from '../db/prepare.ts';
import {
  addTeamMember,
  listTeamMembers,
  removeTeamMember,
  type TeamMemberSource,
} from '../db/team-members.ts';
import { deleteTeam, findTeam, insertTeam, setTeamGroup, type Team } from '../db/teams.ts';
import { quote } from '../oci/digest.ts';
import { asNamespace } from '../oci/name.ts';
import { accountNamed, nameRule } from './accounts.ts';
import { type ActingDatabase, change } from './change.ts';
import { parseLine } from './text.ts';

/** `acme/dev`. @throws Refused */
function parsePath(path: string): { organisation: string; name: string } {
  const [organisation, name, ...rest] = path.split('/', 3);
  if (!organisation || !name || rest.length > 0) {
    throw new Refused(
      `${quote(path)} is not a valid team: a team is named ORGANISATION/TEAM, such as acme/developers`,
    );
  }
  return { organisation, name };
}

/** @throws Refused if there is no such team */
export async function teamNamed(db: Db, path: string): Promise<Team & { readonly organisation: Account }> {
  const { organisation: owner, name } = parsePath(path);
  const organisation = await accountNamed(db, owner, 'organisation');
  const team = asNamespace(name) && (await findTeam(db, organisation.id, name));
  if (!team) throw new Refused(`${organisation.name} has no team ${asNamespace(name) ?? quote(name)}`);
  return { ...team, organisation };
}

/** Gives the new team's id. `group`: group of the sign-on provider, whose members join the team. @throws Refused */
export function createTeam(
  database: ActingDatabase,
  path: string,
  { group }: { readonly group?: string } = {},
): Promise<number> {
  return change(database, async (db, record) => {
    const { organisation: owner, name } = parsePath(path);
    const organisation = await accountNamed(db, owner, 'organisation');
    if (asNamespace(name) === undefined)
      throw new Refused(`${quote(name)} is not a valid team name: ${nameRule}`);
    const team = { organisation: organisation.id, name, group: parseGroup(group ?? null) };
    const id = await insertTeam(db, team, database.clock());
    if (id === undefined) throw new Refused(`${organisation.name} already has a team ${name}`);
    await record('team.create', { team: path, group });
    return id;
  });
}

/** Changes only the fields given; `null` removes the group. @throws Refused */
export async function changeTeam(
  database: ActingDatabase,
  path: string,
  { group }: { readonly group?: string | null },
): Promise<void> {
  await change(database, async (db, record) => {
    const team = await teamNamed(db, path);
    const wanted = group === undefined ? team.group : parseGroup(group);
    if (wanted === team.group) return;
    await setTeamGroup(db, team.id, wanted);
    await record('team.update', { team: path, group: wanted });
  });
}

function parseGroup(group: string | null): string | null {
  return group === null ? null : parseLine('a group', group);
}

/** @throws Refused */
export async function removeTeam(database: ActingDatabase, path: string): Promise<void> {
  await change(database, async (db, record) => {
    await deleteTeam(db, (await teamNamed(db, path)).id);
    await record('team.delete', { team: path });
  });
}

/** @throws Refused */
export function addToTeam(database: ActingDatabase, path: string, user: string): Promise<void> {
  return change(database, async (db, record) => {
    const { id, organisation } = await teamNamed(db, path);
    const account = await accountNamed(db, user, 'user');
    if ((await findMemberRole(db, organisation.id, account.id)) === undefined) {
      throw new Refused(
        `${user} is not a member of ${organisation.name}, and only members can be in its teams: add ${user} first (berth org member add ${organisation.name} ${user})`,
      );
    }
    if (await addTeamMember(db, id, account.id, 'local')) {
      await record('team.member.add', { team: path, user });
    }
  });
}

/** Removes a user who was added by hand. @throws Refused if the user is in the team only by the provider's group, or not at all */
export function removeFromTeam(database: ActingDatabase, path: string, user: string): Promise<void> {
  return change(database, async (db, record) => {
    const { id, group } = await teamNamed(db, path);
    const account = await accountNamed(db, user, 'user');
    if (await removeTeamMember(db, id, account.id, 'local')) {
      return record('team.member.remove', { team: path, user });
    }
    const bySignOn = (await listTeamMembers(db, id)).some((member) => member.id === account.id);
    throw new Refused(
      bySignOn
        ? `${user} is in ${path} by group ${group} of the sign-on provider: remove ${user} from the group there`
        : `${user} is not in ${path}`,
    );
  });
}

export interface TeamDetails extends Pick<Team, 'group'> {
  /** `acme/dev`. */
  readonly name: string;
  readonly members: readonly { readonly name: string; readonly source: TeamMemberSource }[];
}

/** @throws Refused if there is no such team */
export async function readTeam(db: Db, path: string): Promise<TeamDetails> {
  const { id, organisation, name, group } = await teamNamed(db, path);
  const members = await listTeamMembers(db, id);
  return {
    name: `${organisation.name}/${name}`,
    group,
    members: members.map(({ name, source }) => ({ name, source })),
  };
}
