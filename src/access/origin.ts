// The one rule of what a login makes: a session, and an access token made in one, ends with what it was begun with, and is good for
// no longer and for no more. Checked at each use; only `revokedAt` is passed on when it is written (see db/access-tokens.ts).
import { findOriginToken } from '../db/access-tokens.ts';
import { noOrigin, type Origin, type OriginStanding } from '../db/origins.ts';
import type { Db } from '../db/prepare.ts';
import type { Credential } from './identity.ts';
import { Refused } from './refused.ts';

/** What is true of the registry when a credential is looked at. */
export interface Moment {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Whether passwords are accepted at all (`access.passwordLogin`). */
  readonly passwordLogin: boolean;
}

/** What a person signs in with. */
export type SignInProof =
  | Extract<Credential, { kind: 'password' | 'token' }>
  /** The provider of single sign-on vouches for an identity (`identities.id`). */
  | { readonly kind: 'identity'; readonly id: number };

/** Whether a session or an access token is still good, itself and by all that it was begun with. */
export function isInForce(standing: OriginStanding, { now, passwordLogin }: Moment): boolean {
  const { expiresAt, revokedAt, originPassword, originIdentity, identity } = standing;
  if (revokedAt !== null || (expiresAt !== null && expiresAt <= now)) return false;
  if (originPassword !== null && !isPasswordInForce(originPassword, standing, passwordLogin)) return false;
  return originIdentity === identity;
}

/** Whether the password that was set at `since` is still the user's, and one that they may log in with. */
export function isPasswordInForce(
  since: number,
  { passwordChangedAt, tokenOnly }: Pick<OriginStanding, 'passwordChangedAt' | 'tokenOnly'>,
  passwordLogin: boolean,
): boolean {
  return passwordLogin && tokenOnly === 0 && passwordChangedAt === since;
}

/** What is begun with the proof; for an access token also what that token was begun with. @throws Refused when it is gone */
export async function originOf(db: Db, proof: SignInProof): Promise<Origin> {
  switch (proof.kind) {
    case 'password':
      return { ...noOrigin, originPassword: proof.since };
    case 'identity':
      return { ...noOrigin, originIdentity: proof.id };
    case 'token': {
      const { originPassword, originIdentity } = await tokenOf(db, proof.id);
      return { originPassword, originIdentity, originToken: proof.id };
    }
  }
}

/**
 * When something made with this origin has to end; `null`: it need not. In the transaction that makes it.
 *
 * @throws Refused when the access token that it was begun with is revoked, or is good for some repositories alone
 */
export async function endOf(db: Db, { originToken }: Origin): Promise<number | null> {
  if (originToken === null) return null;
  const { expiresAt, revokedAt, scopes } = await tokenOf(db, originToken);
  if (revokedAt !== null) throw new Refused('the access token that you signed in with was revoked');
  if (scopes !== '') {
    throw new Refused('the access token that you signed in with is good for less than all that you may do');
  }
  return expiresAt;
}

/** The earlier of two ends in milliseconds since 1970; `null`: never. */
export function earlier(one: number | null, other: number | null): number | null {
  if (one === null || other === null) return one ?? other;
  return Math.min(one, other);
}

async function tokenOf(db: Db, id: number) {
  const token = await findOriginToken(db, id);
  if (token === undefined) throw new Refused('the access token that you signed in with is gone');
  return token;
}
