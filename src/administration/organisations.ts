import { Refused } from '../access/refused.ts';
import { type Account, listRobotsOf, setDefaultVisibility, setDisabled } from '../db/accounts.ts';
import { findMemberRole, listMembers, removeMember, setMember } from '../db/members.ts';
import type { Db } from '../db/prepare.ts';
import type { MemberRole, Visibility } from '../db/schema.ts';
import { leaveTeams } from '../db/team-members.ts';
import { listTeams } from '../db/teams.ts';
import { accountNamed, addAccount, deleteNamespace, parseNewName } from './accounts.ts';
import { type ActingDatabase, change, differences } from './change.ts';
import { everyRow } from './every-row.ts';
import { showTime } from './show-time.ts';

export interface NewOrganisation {
  readonly name: string;
  readonly defaultVisibility?: Visibility;
  /** The user who becomes the first member, with the role `admin`. */
  readonly admin?: string;
}

/** Gives the new organisation's id. @throws Refused */
export async function createOrganisation(
  database: ActingDatabase,
  { admin, defaultVisibility = 'private', ...organisation }: NewOrganisation,
): Promise<number> {
  const name = parseNewName(organisation.name);
  return change(database, async (db, record) => {
    const user = admin === undefined ? undefined : await accountNamed(db, admin, 'user');
    const account = { name, kind: 'organisation', defaultVisibility } as const;
    const id = await addAccount(db, account, database.clock());
    if (user !== undefined) await setMember(db, id, user.id, 'admin');
    await record('organisation.create', { organisation: name, admin });
    return id;
  });
}

/** Changes only the fields given. @throws Refused */
export async function changeOrganisation(
  database: ActingDatabase,
  name: string,
  changes: { readonly disabled?: boolean; readonly defaultVisibility?: Visibility },
): Promise<void> {
  await change(database, async (db, record) => {
    const account = await accountNamed(db, name, 'organisation');
    const { id } = account;
    const changed = differences({ ...account, disabled: account.disabledAt !== null }, changes);
    const { disabled, defaultVisibility } = changed;
    if (disabled !== undefined) await setDisabled(db, id, disabled ? database.clock() : null);
    if (defaultVisibility !== undefined) await setDefaultVisibility(db, id, defaultVisibility);
    if (Object.keys(changed).length > 0)
      await record('organisation.update', { organisation: name, ...changed });
  });
}

/** Deletes the organisation with its teams, robots, grants and trusts. @throws Refused */
export function deleteOrganisation(database: ActingDatabase, name: string): Promise<void> {
  return change(database, async (db, record) => {
    await deleteNamespace(db, await accountNamed(db, name, 'organisation'), database.clock());
    await record('organisation.delete', { organisation: name });
  });
}

/** Adds the user as a member, or changes the member's role. @throws Refused */
export function setOrganisationMember(
  database: ActingDatabase,
  organisation: string,
  user: string,
  role: MemberRole,
): Promise<void> {
  return change(database, async (db, record) => {
    const { id } = await accountNamed(db, organisation, 'organisation');
    const member = (await accountNamed(db, user, 'user')).id;
    if ((await findMemberRole(db, id, member)) === role) return;
    await setMember(db, id, member, role);
    await record('member.set', { organisation, user, role });
  });
}

/** Removes the user from the organisation and its teams. @throws Refused */
export function removeOrganisationMember(
  database: ActingDatabase,
  organisation: string,
  user: string,
): Promise<void> {
  return change(database, async (db, record) => {
    const { id } = await accountNamed(db, organisation, 'organisation');
    const account = await accountNamed(db, user, 'user');
    if (!(await removeMember(db, id, account.id)))
      throw new Refused(`${user} is not a member of ${organisation}`);
    await leaveTeams(db, id, account.id);
    await record('member.remove', { organisation, user });
  });
}

/** An organisation in a listing. */
export interface OrganisationSummary extends Pick<Account, 'name' | 'defaultVisibility'> {
  readonly disabled: boolean;
  readonly createdAt: string;
}

export function organisationSummary({
  name,
  defaultVisibility,
  disabledAt,
  createdAt,
}: Account): OrganisationSummary {
  return { name, defaultVisibility, disabled: disabledAt !== null, createdAt: showTime(createdAt) };
}

export interface OrganisationDetails extends OrganisationSummary {
  readonly members: readonly { readonly name: string; readonly role: MemberRole }[];
  /** `acme/dev`. */
  readonly teams: readonly string[];
  readonly robots: readonly string[];
}

/** @throws Refused if there is no such organisation */
export async function readOrganisation(db: Db, text: string): Promise<OrganisationDetails> {
  const account = await accountNamed(db, text, 'organisation');
  const { id } = account;
  const members = await everyRow((after, limit) => listMembers(db, id, after, limit));
  const teams = await everyRow((after, limit) => listTeams(db, id, after, limit));
  const robots = await everyRow((after, limit) => listRobotsOf(db, id, after, limit));
  return {
    ...organisationSummary(account),
    members: members.map(({ name, role }) => ({ name, role })),
    teams: teams.map(({ name }) => `${account.name}/${name}`),
    robots: robots.map(({ name }) => name),
  };
}
