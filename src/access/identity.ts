// The authenticated identity of a request, and the kind of its credential.

/** `job`: an external job that an organisation trusts. `holder`: the holder of a token from another token server. */
export type Principal =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'user' | 'robot'; readonly id: number; readonly name: string }
  | { readonly kind: 'job'; readonly trust: number; readonly subject: string; readonly name: string }
  | { readonly kind: 'holder'; readonly name: string };

/** The kind of credential, and the values to check that it is still valid; never the secret. */
export type Credential =
  | { readonly kind: 'none' }
  /** `since`: when the password was set (`users.password_changed_at`). */
  | { readonly kind: 'password'; readonly since: number }
  /** A personal or a robot's access token. */
  | { readonly kind: 'token'; readonly id: number }
  /** A job's ID token, verified at `since`; `terms`: the trust's `updated_at` at that time. */
  | { readonly kind: 'id-token'; readonly trust: number; readonly since: number; readonly terms: number }
  /** A token of another token server. */
  | { readonly kind: 'foreign' };

export interface Identity {
  readonly principal: Principal;
  readonly credential: Credential;
}

export const anonymousIdentity: Identity = { principal: { kind: 'anonymous' }, credential: { kind: 'none' } };

/** Maximum characters of an unverified name in the log, because a client can send any name. */
const maxClaimedName = 64;

/** For the audit log: an unauthenticated caller, with the user name that it sent. */
export function claimantOf(claimed: string): Identity {
  const name = claimed.length > maxClaimedName ? `${claimed.slice(0, maxClaimedName - 1)}…` : claimed;
  return { principal: { kind: 'holder', name }, credential: { kind: 'none' } };
}

/** The identity of a user with a session, independent of the credential that began it. */
export function signedOnIdentity(id: number, name: string): Identity {
  return { principal: { kind: 'user', id, name }, credential: { kind: 'none' } };
}

/** A stable key of a principal, independent of renames: owner of uploads, actor in the audit log, subject of limits. */
export function principalKey(principal: Principal): string {
  switch (principal.kind) {
    case 'anonymous':
      return 'anonymous';
    case 'user':
    case 'robot':
      return `${principal.kind}:${principal.id}`;
    case 'job':
      return `job:${principal.trust}:${principal.subject}`;
    case 'holder':
      return `holder:${principal.name}`;
  }
}

/** For the access log: user and credential. An unverified name is left out. */
export function shownIdentity({ principal, credential }: Identity): { user?: string; credential?: string } {
  if (principal.kind === 'anonymous') return {};
  if (credential.kind !== 'none') return { user: principal.name, credential: credentialKey(credential) };
  return principal.kind === 'holder' ? {} : { user: principal.name };
}

/** For the audit log: identifies the credential without its secret. */
export function credentialKey(credential: Credential): string {
  switch (credential.kind) {
    case 'token':
      return `token:${credential.id}`;
    case 'id-token':
      return `trust:${credential.trust}`;
    default:
      return credential.kind;
  }
}
