// Reads the rights of an identity from the database, and derives its rights in a repository.
import {
  type AccountState,
  type FoundAccount,
  findAccountState,
  findTrustState,
  type HeldRole,
} from '../db/entitlements.ts';
import type { Db } from '../db/prepare.ts';
import { findNamed, type NamedRepository } from '../db/repository-names.ts';
import type { Visibility } from '../db/schema.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Credential, Identity, Principal } from './identity.ts';
import { whyRefused } from './login/shared-issuers.ts';
import { isInForce, isPasswordInForce, type Moment } from './origin.ts';
import { below, matches, type Pattern } from './pattern.ts';
import type { AnonymousAccess } from './policy.ts';
import {
  allRights,
  intersection,
  noRights,
  type Rights,
  rightsOfActions,
  rightsOfRole,
  union,
} from './rights.ts';
import { readScopes, rightsInScopes, type Scope } from './scope.ts';

export interface Entitlements {
  /** Not authenticated: has only the rights that the registry's policy gives to everyone. */
  readonly anonymous: boolean;
  /** All rights in all repositories, within the scopes. */
  readonly administrator: boolean;
  readonly grants: readonly Grant[];
  /** Scopes of the credential, which limit all rights; `undefined`: no limit. */
  readonly scopes: readonly Scope[] | undefined;
  /** End of the credential in milliseconds since 1970; absent: it does not expire. */
  readonly until?: number;
}

export interface Grant {
  readonly pattern: Pattern;
  readonly rights: Rights;
}

const anonymousEntitlements: Entitlements = {
  anonymous: true,
  administrator: false,
  grants: [],
  scopes: undefined,
};

/** For the holder of a token from another token server: the rights are in the token, and not in the database. */
const holderEntitlements: Entitlements = { ...anonymousEntitlements, anonymous: false };

/**
 * Reads the rights of an identity; `undefined` if its credential is no longer valid:
 *
 * - the account, or the owner of a robot, was deleted or disabled;
 * - the password was changed, or may no longer be used to log in;
 * - the access token has expired or was revoked;
 * - the trust of a job was changed or deleted, or its organisation was disabled.
 *
 * Makes at most one query. For a `holder` the result has no rights, because they are in the token.
 */
export async function loadEntitlements(
  db: Db,
  { principal, credential }: Identity,
  moment: Moment,
): Promise<Entitlements | undefined> {
  switch (principal.kind) {
    case 'anonymous':
      return anonymousEntitlements;
    case 'holder':
      return holderEntitlements;
    case 'job':
      return ofJob(db, principal.trust, credential);
    case 'user':
    case 'robot':
      return (await ofAccount(db, principal, credential, moment)).entitlements;
  }
}

/**
 * Reads the entitlements as {@link loadEntitlements} does, and the repository that the name stands for. Makes one query for an account.
 */
export async function loadStanding(
  db: Db,
  identity: Identity,
  name: RepositoryName,
  moment: Moment,
): Promise<Standing> {
  const { principal, credential } = identity;
  if (principal.kind === 'user' || principal.kind === 'robot') {
    return ofAccount(db, principal, credential, moment, name);
  }
  const [entitlements, repository] = await Promise.all([
    loadEntitlements(db, identity, moment),
    findNamed(db, name, moment.now),
  ]);
  return { entitlements, repository };
}

interface Standing {
  readonly entitlements: Entitlements | undefined;
  readonly repository: NamedRepository | undefined;
}

async function ofAccount(
  db: Db,
  { id, kind }: Principal & { kind: 'user' | 'robot' },
  credential: Credential,
  moment: Moment,
  name?: RepositoryName,
): Promise<Standing> {
  const token = credential.kind === 'token' ? credential.id : null;
  const found = await findAccountState(db, { account: id, token, repository: name ?? null, now: moment.now });
  return {
    entitlements: found && entitlementsOf(found, kind, credential, moment),
    repository: found?.repository,
  };
}

function entitlementsOf(
  { account, roles }: FoundAccount,
  kind: 'user' | 'robot',
  credential: Credential,
  moment: Moment,
): Entitlements | undefined {
  if (account.kind !== kind || account.disabled_at !== null || account.owner_disabled_at !== null) {
    return undefined;
  }
  if (!isStillValid(credential, account, moment)) return undefined;
  const grants = roles.map(grantOf);
  if (kind === 'user') grants.push({ pattern: below(account.name), rights: allRights });
  const scopes = readScopes(account.scopes ?? '');
  return {
    anonymous: false,
    administrator: account.administrator === 1,
    grants,
    scopes: scopes.length === 0 ? undefined : scopes,
    ...(account.expiresAt !== null && { until: account.expiresAt }),
  };
}

function isStillValid(credential: Credential, account: AccountState, moment: Moment): boolean {
  if (credential.kind === 'password') {
    return isPasswordInForce(credential.since, account, moment.passwordLogin);
  }
  // Every other credential is a token. `token` is null if the account has no token with this id.
  return account.token !== null && isInForce(account, moment);
}

function grantOf({ pattern, role }: HeldRole): Grant {
  return { pattern: pattern as Pattern, rights: rightsOfRole(role) };
}

async function ofJob(db: Db, id: number, credential: Credential): Promise<Entitlements | undefined> {
  if (credential.kind !== 'id-token' || credential.trust !== id) return undefined;
  const trust = await findTrustState(db, id);
  if (trust === undefined || trust.disabled_at !== null || credential.terms !== trust.updated_at) {
    return undefined;
  }
  if (whyRefused(trust) !== undefined) return undefined;
  const grants = readScopes(trust.scopes)
    // A trust gives rights only in the namespace of its organisation, even if its row has other scopes.
    .filter(({ pattern }) => pattern.startsWith(`${trust.organisation}/`))
    .map(({ pattern, actions }) => ({ pattern, rights: rightsOfActions(actions) }));
  const until = credential.since + trust.lifetime;
  return { anonymous: false, administrator: false, grants, scopes: undefined, until };
}

/**
 * The rights in the repository with this name.
 * @param visibility `undefined`: the repository does not exist
 */
export function rightsOn(
  { anonymous, administrator, grants, scopes }: Entitlements,
  name: RepositoryName,
  visibility: Visibility | undefined,
  policy: AnonymousAccess,
): Rights {
  const held = administrator
    ? allRights
    : union([
        rightsOfEveryone(anonymous, visibility, policy),
        ...grants.filter(({ pattern }) => matches(pattern, name)).map(({ rights }) => rights),
      ]);
  return scopes === undefined ? held : intersection(held, rightsInScopes(scopes, name));
}

/** A repository that a name stands for, and the rights there. */
export interface Found {
  /** `undefined`: for the caller, no repository has the name. */
  readonly repository: NamedRepository | undefined;
  readonly rights: Rights;
}

/**
 * The rights under a name. Through an alias they are those under the repository's own name. An alias of a repository that the caller
 * may not pull is for the caller like a name that no repository has.
 */
export function rightsUnder(
  entitlements: Entitlements,
  name: RepositoryName,
  found: NamedRepository | undefined,
  policy: AnonymousAccess,
): Found {
  const rights = rightsOn(entitlements, found?.name ?? name, found?.visibility, policy);
  if (found?.aliasUntil === undefined || rights.has('pull')) return { repository: found, rights };
  return { repository: undefined, rights: rightsOn(entitlements, name, undefined, policy) };
}

const pull = rightsOfActions(['pull']);

/** Excludes settings and members, even in an open registry: such changes would remain after the policy is changed. */
const content = rightsOfActions(['*']);

function rightsOfEveryone(
  anonymous: boolean,
  visibility: Visibility | undefined,
  policy: AnonymousAccess,
): Rights {
  switch (policy) {
    case 'push':
      return content;
    case 'pull':
      return pull;
    case 'public':
      return visibility === 'public' ? pull : noRights;
    case 'none':
      return visibility === 'public' && !anonymous ? pull : noRights;
  }
}
