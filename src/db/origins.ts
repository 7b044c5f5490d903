// Origin: the credential with which a session was signed in. An access token created in a session has the session's origin. Both
// become invalid with that credential (see access/origin.ts).

/** Columns of `sessions` and `access_tokens`. All null for an access token not created in a session. */
export interface Origin {
  /** The time at which the used password was set (`users.password_changed_at`). */
  readonly originPassword: number | null;
  /** The identity signed on with (`identities.id`). */
  readonly originIdentity: number | null;
  /** The access token used instead of the password. The other two fields are then the origin of that token. */
  readonly originToken: number | null;
}

/** For access tokens that an administrator creates on the command line. */
export const noOrigin: Origin = { originPassword: null, originIdentity: null, originToken: null };

/** Current state of a session or an access token and its origin. Times are milliseconds since 1970. */
export interface OriginState extends Omit<Origin, 'originToken'> {
  readonly expiresAt: number | null;
  /** When the token, or the token of the session's origin, was revoked; that revokes all tokens created with it. */
  readonly revokedAt: number | null;
  /** `originIdentity` while it is linked to the account. */
  readonly identity: number | null;
  /** Null for a robot. */
  readonly passwordChangedAt: number | null;
  /** 0 or 1; null for a robot. */
  readonly tokenOnly: number | null;
}
