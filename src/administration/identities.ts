// Links identities of the sign-on provider to users.

import { Refused } from '../access/refused.ts';
import { deleteIdentity, findIdentity, insertIdentity, listIdentities } from '../db/identities.ts';
import type { Db } from '../db/prepare.ts';
import { isStorable } from '../db/storable.ts';
import { accountNamed } from './accounts.ts';
import { type ActingDatabase, change } from './change.ts';

/** A person's `iss` and `sub` in the issuer's ID tokens, compared exactly. */
export interface SignOnIdentity {
  readonly issuer: string;
  readonly subject: string;
}

/** Maximum identities of an account. */
const maxIdentities = 10;
const maxLength = 1024;

/** The identity is linked to another account, which keeps it. */
export class IdentityTaken extends Refused {}

/** Checked in the transaction of a change; throws to stop it. */
export type Condition = (db: Db) => Promise<void>;

/**
 * Links the identity to the user. The person then signs on as that user. False if it was linked already.
 * @throws IdentityTaken if it is linked to another user; Refused; errors of the condition
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
        `the ${what} must have 1 to ${maxLength} characters, without NUL and others that cannot be stored`,
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
    if ((await listIdentities(db, account.id)).length >= maxIdentities) {
      throw new Refused(
        `${account.name} has ${maxIdentities} sign-on identities, which is the maximum: unlink one first`,
      );
    }
    await insertIdentity(db, issuer, subject, account.id);
    await record('user.link', { user: account.name, issuer, subject });
    return true;
  });
}

/** Unlinks the identity, and ends the sessions and tokens that it began. @throws Refused if it is not the user's */
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
