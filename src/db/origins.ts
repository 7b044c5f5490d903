// What a session, and an access token made in one, was begun with: it ends with that. The rule is in access/origin.ts.

/** The columns of `sessions` and `access_tokens`. An access token that nobody signed in to make has none of the three. */
export interface Origin {
  /** When the password was set that was shown (`users.password_changed_at`). */
  readonly originPassword: number | null;
  /** The sign-on identity that the provider vouched for (`identities.id`). */
  readonly originIdentity: number | null;
  /** The access token that stood in for the password. The other two are then that token's own. */
  readonly originToken: number | null;
}

/** Of an access token that nobody signed in to make: an administrator did, on the machine. */
export const noOrigin: Origin = { originPassword: null, originIdentity: null, originToken: null };

/** How a session or an access token stands now, with what it began with. Times are milliseconds since 1970. */
export interface OriginStanding extends Omit<Origin, 'originToken'> {
  readonly expiresAt: number | null;
  /** When the token, or the one that a session began with, was revoked; that revokes those made by it as well. */
  readonly revokedAt: number | null;
  /** `originIdentity`, as long as it is linked to the account. */
  readonly identity: number | null;
  /** Null for a robot. */
  readonly passwordChangedAt: number | null;
  /** 0 or 1; null for a robot. */
  readonly tokenOnly: number | null;
}
