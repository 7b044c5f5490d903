// Creates the first administrator, who can then give others access.

import { Refused } from '../access/refused.ts';
import { findAccount } from '../db/accounts.ts';
import { system } from '../db/changes.ts';
import type { Database } from '../db/database.ts';
import { countEnabledAdministrators, insertUser } from '../db/users.ts';
import { addAccount, parseNewName } from './accounts.ts';
import { actAs, change } from './change.ts';
import { hashNewPassword, randomPassword } from './new-password.ts';

export interface FirstAdministrator {
  readonly name: string;
  /** The generated password; `undefined`: it was configured. */
  readonly password: string | undefined;
}

/**
 * Creates an administrator if there is no enabled one; otherwise gives `undefined`. Of several processes at once, only one
 * creates it.
 * @throws Refused if the name is taken or the password is not acceptable
 */
export async function makeFirstAdministrator(
  database: Database,
  given: { readonly name: string; readonly password?: string | undefined },
): Promise<FirstAdministrator | undefined> {
  if ((await countEnabledAdministrators(database.read)) > 0) return undefined;
  const name = parseNewName(given.name);
  const password = given.password === undefined ? randomPassword() : undefined;
  const hash = await hashNewPassword(given.password ?? (password as string));
  const now = database.clock();
  return change(actAs(database, system), async (db, record) => {
    if ((await countEnabledAdministrators(db)) > 0) return undefined;
    if ((await findAccount(db, name)) !== undefined) {
      throw new Refused(
        `this registry has no administrator, and one named ${name} cannot be created, because the name is taken: ` +
          'make a user an administrator (berth user set NAME --admin), or give the administrator another name ' +
          '(key admin.name, environment BERTH_ADMIN_NAME)',
      );
    }
    const id = await addAccount(db, { name, kind: 'user' }, now);
    await insertUser(db, id, { mail: null, password: hash, administrator: true, tokenOnly: false }, now);
    await record('user.create', { user: name, administrator: true, tokenOnly: false });
    return { name, password };
  });
}
