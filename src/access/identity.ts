// Who sends a request, and by what they say so.

/** `job`: a job elsewhere that an organisation trusts. `holder`: whoever has a token of another token server. */
export type Principal =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'user' | 'robot'; readonly id: number; readonly name: string }
  | { readonly kind: 'job'; readonly trust: number; readonly subject: string; readonly name: string }
  | { readonly kind: 'holder'; readonly name: string };

/** What was shown as proof, and by what it can be told whether it still holds; never the secret itself. */
export type Credential =
  | { readonly kind: 'none' }
  /** `since`: when the password was set (`users.password_changed_at`). */
  | { readonly kind: 'password'; readonly since: number }
  /** A personal or a robot's access token. */
  | { readonly kind: 'token'; readonly id: number }
  /** A job's ID token, checked at `since` against a trust's terms of that time; `terms`: when these were set (`trusts.updated_at`). */
  | { readonly kind: 'id-token'; readonly trust: number; readonly since: number; readonly terms: number }
  /** A token of another token server. */
  | { readonly kind: 'foreign' };

export interface Identity {
  readonly principal: Principal;
  readonly credential: Credential;
}

export const anonymousIdentity: Identity = { principal: { kind: 'anonymous' }, credential: { kind: 'none' } };

/** Characters; of a name that is only claimed the log keeps no more, as anybody can claim any. */
const maxClaimedName = 64;

/** For the audit log: whoever gave the name, and has not shown that it is theirs. */
export function claimantOf(claimed: string): Identity {
  const name = claimed.length > maxClaimedName ? `${claimed.slice(0, maxClaimedName - 1)}…` : claimed;
  return { principal: { kind: 'holder', name }, credential: { kind: 'none' } };
}

/** A person with a session, whatever it was begun with. */
export function signedOnIdentity(id: number, name: string): Identity {
  return { principal: { kind: 'user', id, name }, credential: { kind: 'none' } };
}

/** One text for one principal, whatever it is called today: owner of uploads, actor in the audit log, subject of limits. */
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

/** For the access log: the name and the credential of whoever has shown who they are; a name that was only claimed is none. */
export function shownIdentity({ principal, credential }: Identity): { user?: string; credential?: string } {
  if (principal.kind === 'anonymous') return {};
  if (credential.kind !== 'none') return { user: principal.name, credential: credentialKey(credential) };
  return principal.kind === 'holder' ? {} : { user: principal.name };
}

/** For the audit log: which credential, never what it is. */
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
