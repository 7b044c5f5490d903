import { Refused } from '../access/refused.ts';
import { setDefaultVisibility, setDisabled } from '../db/accounts.ts';
import { listGrants } from '../db/grants.ts';
import { listMemberships } from '../db/members.ts';
import type { Db } from '../db/prepare.ts';
import type { MemberRole, Role, Visibility } from '../db/schema.ts';
import { listTeamsOf, type TeamMemberSource } from '../db/team-members.ts';
import {
  countEnabledAdministrators,
  findUserById,
  insertUser,
  setPassword,
  type User,
  updateUser,
} from '../db/users.ts';
import { accountNamed, addAccount, deleteNamespace, parseNewName } from './accounts.ts';
import { type ActingDatabase, change, differences } from './change.ts';
import { hashNewPassword } from './new-password.ts';
import { showTime } from './show-time.ts';
import { parseMail } from './text.ts';

export interface NewUser {
  readonly name: string;
  readonly mail?: string;
  /** Absent: the user cannot log in with a password. */
  readonly password?: string;
  readonly administrator?: boolean;
  readonly tokenOnly?: boolean;
  readonly defaultVisibility?: Visibility;
}

/** Gives the new user's id. @throws Refused */
export async function createUser(database: ActingDatabase, user: NewUser): Promise<number> {
  const name = parseNewName(user.name);
  const mail = user.mail === undefined ? null : parseMail(user.mail);
  const password = user.password === undefined ? null : await hashNewPassword(user.password);
  const { administrator = false, tokenOnly = false, defaultVisibility = 'private' } = user;
  const now = database.clock();
  return change(database, async (db, record) => {
    const id = await addAccount(db, { name, kind: 'user', defaultVisibility }, now);
    await insertUser(db, id, { mail, password, administrator, tokenOnly }, now);
    await record('user.create', { user: name, administrator, tokenOnly });
    return id;
  });
}

/** Fields to change; absent ones stay as they are. */
export interface UserChanges {
  /** `null`: none. */
  readonly mail?: string | null;
  /** `null`: the user cannot log in with a password. */
  readonly password?: string | null;
  readonly administrator?: boolean;
  readonly tokenOnly?: boolean;
  readonly disabled?: boolean;
  readonly defaultVisibility?: Visibility;
}

/** @throws Refused */
export async function changeUser(
  database: ActingDatabase,
  name: string,
  changes: UserChanges,
): Promise<void> {
  const mail = typeof changes.mail === 'string' ? parseMail(changes.mail) : changes.mail;
  const password =
    typeof changes.password === 'string' ? await hashNewPassword(changes.password) : changes.password;
  const now = database.clock();
  await change(database, async (db, record) => {
    const account = await accountNamed(db, name, 'user');
    const { id } = account;
    const before = (await findUserById(db, id)) as User;
    const { password: _, ...others } = { ...changes, ...(mail !== undefined && { mail }) };
    const present = { ...account, ...before, disabled: account.disabledAt !== null };
    const changed = differences<Omit<UserChanges, 'password'>>(present, others);
    const { disabled, defaultVisibility } = changed;
    await keepingAnAdministrator(db, name, async () => {
      await updateUser(db, id, changed);
      if (disabled !== undefined) await setDisabled(db, id, disabled ? now : null);
    });
    if (defaultVisibility !== undefined) await setDefaultVisibility(db, id, defaultVisibility);
    if (password !== undefined && password !== before.password) {
      await setPassword(db, id, password, now);
      // Records whether the password was removed, and never the password.
      await record('user.password', { user: name, ...(password === null && { password: 'none' }) });
    }
    if (Object.keys(changed).length > 0) await record('user.update', { user: name, ...changed });
  });
}

/**
 * Replaces the user's password that was set at `since`.
 * @returns when the new password was set, which is the `since` of credentials with it
 * @throws Refused if the password is not acceptable, or was changed in the meantime
 */
export async function changeOwnPassword(
  database: ActingDatabase,
  { id, since, password }: { readonly id: number; readonly since: number; readonly password: string },
): Promise<number> {
  const hash = await hashNewPassword(password);
  return change(database, async (db, record) => {
    const user = await findUserById(db, id);
    if (user?.passwordChangedAt !== since) {
      throw new Refused('your password was changed in the meantime');
    }
    await setPassword(db, id, hash, database.clock());
    await record('user.password', { user: user.name });
    return (await findUserById(db, id))?.passwordChangedAt as number;
  });
}

/** @throws Refused */
export function deleteUser(database: ActingDatabase, name: string): Promise<void> {
  return change(database, async (db, record) => {
    const account = await accountNamed(db, name, 'user');
    await keepingAnAdministrator(db, name, () => deleteNamespace(db, account, database.clock()));
    await record('user.delete', { user: name });
  });
}

/** Throws if no administrator would be left, which undoes the change. */
async function keepingAnAdministrator(db: Db, name: string, work: () => Promise<void>): Promise<void> {
  const before = await countEnabledAdministrators(db);
  await work();
  if (before > 0 && (await countEnabledAdministrators(db)) === 0) {
    throw new Refused(
      `${name} is the only enabled administrator: make another user an administrator first (berth user set NAME --admin)`,
    );
  }
}

/** A user in a listing, without the password hash. */
export interface UserSummary extends Pick<User, 'name' | 'mail' | 'administrator' | 'tokenOnly'> {
  readonly disabled: boolean;
  readonly hasPassword: boolean;
}

export function userSummary({
  name,
  mail,
  administrator,
  tokenOnly,
  disabledAt,
  password,
}: User): UserSummary {
  return {
    ...{ name, mail, administrator, tokenOnly },
    ...{ disabled: disabledAt !== null, hasPassword: password !== null },
  };
}

export interface UserDetails extends UserSummary {
  readonly defaultVisibility: Visibility;
  readonly createdAt: string;
  readonly organisations: readonly { readonly name: string; readonly role: MemberRole }[];
  readonly teams: readonly { readonly name: string; readonly source: TeamMemberSource }[];
  /** The user's own grants, without those of teams. */
  readonly grants: readonly { readonly pattern: string; readonly role: Role }[];
}

/** @throws Refused if there is no such user */
export async function readUser(db: Db, text: string): Promise<UserDetails> {
  const { id, defaultVisibility, createdAt } = await accountNamed(db, text, 'user');
  const user = (await findUserById(db, id)) as User;
  const organisations = await listMemberships(db, id);
  const teams = await listTeamsOf(db, id);
  const grants = await listGrants(db, { account: id });
  return {
    ...userSummary(user),
    defaultVisibility,
    createdAt: showTime(createdAt),
    organisations: organisations.map(({ name, role }) => ({ name, role })),
    teams: teams.map(({ organisation, name, source }) => ({ name: `${organisation}/${name}`, source })),
    grants: grants.map(({ pattern, role }) => ({ pattern, role })),
  };
}
