// The origin of a session or an access token is the credential that it was created with. A session or token ends with its origin,
// and never has more rights. This is checked at each use. Only a revocation of a token is also written to the tokens that were
// created with it (see db/access-tokens.ts).
import { findOriginToken } from '../db/access-tokens.ts';
import { noOrigin, type Origin, type OriginState } from '../db/origins.ts';
import type { Db } from '../db/prepare.ts';
import type { Credential } from './identity.ts';
import { Refused } from './refused.ts';

/** The state of the registry at the time of a check. */
export interface Moment {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Whether passwords are accepted (`access.passwordLogin`). */
  readonly passwordLogin: boolean;
}

/** The proof that a person signed in with. */
export type SignInProof =
  | Extract<Credential, { kind: 'password' | 'token' }>
  /** An identity that the single sign-on provider confirmed (`identities.id`). */
  | { readonly kind: 'identity'; readonly id: number };

/** Whether a session or an access token is still valid, and all its origins too. */
export function isInForce(state: OriginState, { now, passwordLogin }: Moment): boolean {
  const { expiresAt, revokedAt, originPassword, originIdentity, identity } = state;
  if (revokedAt !== null || (expiresAt !== null && expiresAt <= now)) return false;
  if (originPassword !== null && !isPasswordInForce(originPassword, state, passwordLogin)) return false;
  return originIdentity === identity;
}

/** Whether the password set at `since` is still the user's, and may be used to log in. */
export function isPasswordInForce(
  since: number,
  { passwordChangedAt, tokenOnly }: Pick<OriginState, 'passwordChangedAt' | 'tokenOnly'>,
  passwordLogin: boolean,
): boolean {
  return passwordLogin && tokenOnly === 0 && passwordChangedAt === since;
}

/**
 * The origin of a session or token that is created with this proof. For an access token it includes the token's own origin.
 * @throws Refused if the access token no longer exists
 */
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
 * When a session or token with this origin has to end, in milliseconds since 1970; `null`: never. Runs in the transaction that
 * creates it.
 * @throws Refused if the origin is an access token that is revoked or has scopes
 */
export async function endOf(db: Db, { originToken }: Origin): Promise<number | null> {
  if (originToken === null) return null;
  const { expiresAt, revokedAt, scopes } = await tokenOf(db, originToken);
  if (revokedAt !== null) throw new Refused('the access token that you signed in with was revoked');
  if (scopes !== '') {
    throw new Refused(
      'the access token that you signed in with has scopes, so it cannot create sessions or tokens',
    );
  }
  return expiresAt;
}

/** The earlier of two times in milliseconds since 1970; `null`: never. */
export function earlier(one: number | null, other: number | null): number | null {
  if (one === null || other === null) return one ?? other;
  return Math.min(one, other);
}

async function tokenOf(db: Db, id: number) {
  const token = await findOriginToken(db, id);
  if (token === undefined) throw new Refused('the access token that you signed in with no longer exists');
  return token;
}
