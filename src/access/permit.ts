import type { RepositoryRow } from '../db/repositories.ts';
import { allVisible, type Visible } from '../db/repository-ranges.ts';
import { anonymousIdentity, type Identity, principalKey } from './identity.ts';
import type { NamespaceClaim } from './namespace-claims.ts';
import type { Rights } from './rights.ts';

/** What a request that was let through may do; handlers ask nothing else of access. */
export interface Permit {
  /** Whose the upload sessions are that it opens, and alone may use. */
  readonly principal: string;
  /** Which repository of that name was meant; `undefined` where any of it may be. */
  readonly repository: number | undefined;
  /** Bring content and new tags. */
  readonly mayCreate: boolean;
  /** Move a tag that stands. */
  readonly mayUpdate: boolean;
  /** The namespace that what is stored makes the caller's own, where it is free. */
  readonly claim?: NamespaceClaim | undefined;
  /** Whether a blob may be mounted from there. */
  readonly mayPull: (from: RepositoryRow) => boolean;
  /** What the list of repositories holds. */
  readonly visible: Visible;
}

/** Of a registry that is open to everyone. */
export const everything: Permit = {
  principal: principalKey(anonymousIdentity.principal),
  repository: undefined,
  mayCreate: true,
  mayUpdate: true,
  mayPull: () => true,
  visible: allVisible,
};

/** Of who was let in without regard to a repository. */
export function permitOfRegistry(identity: Identity, visible: Visible = none): Permit {
  const principal = principalKey(identity.principal);
  return {
    principal,
    repository: undefined,
    mayCreate: false,
    mayUpdate: false,
    mayPull: () => false,
    visible,
  };
}

const none: Visible = { ranges: [], matches: () => false };

/** Of who may do some things in one repository. */
export function permitIn(
  repository: number | undefined,
  identity: Identity,
  rights: Rights,
  mayPull: Permit['mayPull'],
  claim?: NamespaceClaim,
): Permit {
  return {
    principal: principalKey(identity.principal),
    repository,
    mayCreate: rights.has('create'),
    mayUpdate: rights.has('update'),
    claim,
    mayPull,
    visible: none,
  };
}
