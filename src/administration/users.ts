import { Refused } from '../access/refused.ts';
import { setDefaultVisibility, setDisabled } from '../db/accounts.ts';
import type { Database } from '../db/database.ts';
import type { Db } from '../db/prepare.ts';
import type { Visibility } from '../db/schema.ts';
import {
  countEnabledAdministrators,
  findUserById,
  insertUser,
  setPassword,
  updateUser,
} from '../db/users.ts';
import { accountNamed, addAccount, deleteNamespace, parseNewName } from './accounts.ts';
import { change } from './change.ts';
import { hashNewPassword } from './new-password.ts';
import { parseMail } from './text.ts';

export interface NewUser {
  readonly name: string;
  readonly mail?: string;
  /** Without one, nobody logs in with a password. */
  readonly password?: string;
  readonly administrator?: boolean;
  readonly tokenOnly?: boolean;
  readonly defaultVisibility?: Visibility;
}

/** The new user's id. @throws Refused */
export async function createUser(database: Database, user: NewUser): Promise<number> {
  const name = parseNewName(user.name);
  const mail = user.mail === undefined ? null : parseMail(user.mail);
  const password = user.password === undefined ? null : await hashNewPassword(user.password);
  const { administrator = false, tokenOnly = false, defaultVisibility = 'private' } = user;
  const now = database.clock();
  return change(database, async (db) => {
    const id = await addAccount(db, { name, kind: 'user', defaultVisibility }, now);
    await insertUser(db, id, { mail, password, administrator, tokenOnly }, now);
    return id;
  });
}

/** What is left out stays as it is. */
export interface UserChanges {
  /** `null`: none. */
  readonly mail?: string | null;
  /** `null`: nobody logs in with a password. */
  readonly password?: string | null;
  readonly administrator?: boolean;
  readonly tokenOnly?: boolean;
  readonly disabled?: boolean;
  readonly defaultVisibility?: Visibility;
}

/** @throws Refused */
export async function changeUser(database: Database, name: string, changes: UserChanges): Promise<void> {
  const { administrator, tokenOnly, disabled, defaultVisibility } = changes;
  const mail = typeof changes.mail === 'string' ? parseMail(changes.mail) : changes.mail;
  const password =
    typeof changes.password === 'string' ? await hashNewPassword(changes.password) : changes.password;
  const now = database.clock();
  await change(database, async (db) => {
    const { id } = await accountNamed(db, name, 'user');
    await keepingAnAdministrator(db, name, async () => {
      await updateUser(db, id, {
        ...(mail !== undefined && { mail }),
        ...(administrator !== undefined && { administrator }),
        ...(tokenOnly !== undefined && { tokenOnly }),
      });
      if (disabled !== undefined) await setDisabled(db, id, disabled ? now : null);
    });
    if (password !== undefined) await setPassword(db, id, password, now);
    if (defaultVisibility !== undefined) await setDefaultVisibility(db, id, defaultVisibility);
  });
}

/**
 * The user's new password, in place of the one that was set at `since`.
 *
 * @returns when it was set: what is begun with it has that for its origin
 * @throws Refused when the password will not do, or was changed by somebody else in the meantime
 */
export async function changeOwnPassword(
  database: Database,
  { id, since, password }: { readonly id: number; readonly since: number; readonly password: string },
): Promise<number> {
  const hash = await hashNewPassword(password);
  return change(database, async (db) => {
    if ((await findUserById(db, id))?.passwordChangedAt !== since) {
      throw new Refused('your password was changed in the meantime');
    }
    await setPassword(db, id, hash, database.clock());
    return (await findUserById(db, id))?.passwordChangedAt as number;
  });
}

/** @throws Refused */
export function deleteUser(database: Database, name: string): Promise<void> {
  return change(database, async (db) => {
    const account = await accountNamed(db, name, 'user');
    await keepingAnAdministrator(db, name, () => deleteNamespace(db, account, database.clock()));
  });
}

/** What throws here undoes the change. */
async function keepingAnAdministrator(db: Db, name: string, work: () => Promise<void>): Promise<void> {
  const before = await countEnabledAdministrators(db);
  await work();
  if (before > 0 && (await countEnabledAdministrators(db)) === 0) {
    throw new Refused(
      `${name} is the only administrator who is not disabled: make another user one first (berth user set NAME --admin)`,
    );
  }
}
