import { Refused } from '../access/refused.ts';
import { setDefaultVisibility, setDisabled } from '../db/accounts.ts';
import type { Database } from '../db/database.ts';
import { removeMember, setMember } from '../db/members.ts';
import type { MemberRole, Visibility } from '../db/schema.ts';
import { leaveTeams } from '../db/team-members.ts';
import { accountNamed, addAccount, deleteNamespace, parseNewName } from './accounts.ts';
import { change } from './change.ts';

export interface NewOrganisation {
  readonly name: string;
  readonly defaultVisibility?: Visibility;
  /** The user who is its first member, with the role `admin`. */
  readonly admin?: string;
}

/** The new organisation's id. @throws Refused */
export async function createOrganisation(
  database: Database,
  { admin, defaultVisibility = 'private', ...organisation }: NewOrganisation,
): Promise<number> {
  const name = parseNewName(organisation.name);
  return change(database, async (db) => {
    const user = admin === undefined ? undefined : await accountNamed(db, admin, 'user');
    const account = { name, kind: 'organisation', defaultVisibility } as const;
    const id = await addAccount(db, account, database.clock());
    if (user !== undefined) await setMember(db, id, user.id, 'admin');
    return id;
  });
}

/** What is left out stays as it is. @throws Refused */
export async function changeOrganisation(
  database: Database,
  name: string,
  { disabled, defaultVisibility }: { readonly disabled?: boolean; readonly defaultVisibility?: Visibility },
): Promise<void> {
  await change(database, async (db) => {
    const { id } = await accountNamed(db, name, 'organisation');
    if (disabled !== undefined) await setDisabled(db, id, disabled ? database.clock() : null);
    if (defaultVisibility !== undefined) await setDefaultVisibility(db, id, defaultVisibility);
  });
}

/** With its teams, robots, grants and trusts. @throws Refused */
export function deleteOrganisation(database: Database, name: string): Promise<void> {
  return change(database, async (db) =>
    deleteNamespace(db, await accountNamed(db, name, 'organisation'), database.clock()),
  );
}

/** Makes the user a member, or gives the member another role. @throws Refused */
export function setOrganisationMember(
  database: Database,
  organisation: string,
  user: string,
  role: MemberRole,
): Promise<void> {
  return change(database, async (db) => {
    const { id } = await accountNamed(db, organisation, 'organisation');
    await setMember(db, id, (await accountNamed(db, user, 'user')).id, role);
  });
}

/** Takes the user out of the organisation, and so out of its teams. @throws Refused */
export function removeOrganisationMember(
  database: Database,
  organisation: string,
  user: string,
): Promise<void> {
  return change(database, async (db) => {
    const { id } = await accountNamed(db, organisation, 'organisation');
    const account = await accountNamed(db, user, 'user');
    if (!(await removeMember(db, id, account.id)))
      throw new Refused(`${user} is no member of ${organisation}`);
    await leaveTeams(db, id, account.id);
  });
}
