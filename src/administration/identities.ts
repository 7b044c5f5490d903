// Which users are whom the sign-on provider knows.

import { Refused } from '../access/refused.ts';
import { deleteIdentity, findIdentity, insertIdentity, listIdentities } from '../db/identities.ts';
import type { Db } from '../db/prepare.ts';
import { isStorable } from '../db/storable.ts';
import { accountNamed } from './accounts.ts';
import { type ActingDatabase, change } from './change.ts';

/** A person, as the issuer's ID tokens name them: `iss` and `sub`, letter for letter. */
export interface SignOnIdentity {
  readonly issuer: string;
  readonly subject: string;
}

/** How many an account may have. */
const most = 10;
const maxLength = 1024;

/** The identity belongs to another account, which is never taken from it. */
export class IdentityTaken extends Refused {}

/** What has to hold in the transaction that makes a change; throws where it does not. */
export type Condition = (db: Db) => Promise<void>;

/**
 * From now on whoever the issuer vouches for as the subject signs on as the user. False when it was so before.
 *
 * @throws IdentityTaken when it belongs to another user; Refused; what the condition throws
 */
export function linkIdentity(
  database: ActingDatabase,
  user: string,
  { issuer, subject }: SignOnIdentity,
  condition?: Condition,
): Promise<boolean> {
  for (const [what, text] of [
    ['issuer', issuer],
    ['subject', subject],
  ] as const) {
    if (text === '' || text.length > maxLength || !isStorable(text)) {
      throw new Refused(
        `the ${what} has 1 to ${maxLength} characters, and none that cannot be stored, such as NUL`,
      );
    }
  }
  return change(database, async (db, record) => {
    await condition?.(db);
    const account = await accountNamed(db, user, 'user');
    const known = await findIdentity(db, issuer, subject);
    if (known?.account === account.id) return false;
    if (known !== undefined) {
      throw new IdentityTaken('this sign-on identity belongs to another user');
    }
    if ((await listIdentities(db, account.id)).length >= most) {
      throw new Refused(`${account.name} has ${most} sign-on identities already: unlink one first`);
    }
    await insertIdentity(db, issuer, subject, account.id);
    await record('user.link', { user: account.name, issuer, subject });
    return true;
  });
}

/** Nobody signs on as the user by it any more, and what began with it ends. @throws Refused when it is none of the user's */
export function unlinkIdentity(
  database: ActingDatabase,
  user: string,
  { issuer, subject }: SignOnIdentity,
): Promise<void> {
  return change(database, async (db, record) => {
    const account = await accountNamed(db, user, 'user');
    if (!(await deleteIdentity(db, account.id, issuer, subject))) {
      throw new Refused(
        `${account.name} has no such sign-on identity (berth user identities ${account.name} shows them)`,
      );
    }
    await record('user.unlink', { user: account.name, issuer, subject });
  });
}
