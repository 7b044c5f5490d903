import type { Actor } from '../db/changes.ts';
import type { Db } from '../db/prepare.ts';
import type { Namespace, RepositoryName } from '../oci/name.ts';
import type { Entitlements } from './entitlements.ts';
import type { Principal } from './identity.ts';
import { allRights, intersection, type Rights } from './rights.ts';
import { rightsInScopes } from './scope.ts';

/** The right to create a free namespace by the first push to it (see `administration/claim-namespace.ts`). */
export interface NamespaceClaim {
  readonly namespace: Namespace;
  /** Runs before an upload to the namespace begins. */
  prepare(db: Db, now: number): Promise<void>;
  /** Runs first in the transaction that stores something in the namespace. @throws RegistryError `DENIED` */
  make(db: Db, by: Actor, now: number): Promise<void>;
}

export interface Claimant {
  readonly principal: Principal;
  readonly entitlements: Entitlements;
}

/** Finds those of `names` whose namespace a push by the claimant would create; it makes a bounded number of queries. */
export type FindClaims = (
  db: Db,
  claimant: Claimant,
  names: readonly RepositoryName[],
) => Promise<Map<RepositoryName, NamespaceClaim>>;

/** The claimant's rights in the namespace: all, bounded by the credential's scopes. */
export function rightsOfClaimant({ scopes }: Entitlements, name: RepositoryName): Rights {
  return scopes === undefined ? allRights : intersection(allRights, rightsInScopes(scopes, name));
}
