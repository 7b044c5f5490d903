import type { NamespaceClaim } from '../db/namespace-claim.ts';
import type { Db } from '../db/prepare.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Entitlements } from './entitlements.ts';
import type { Principal } from './identity.ts';
import { allRights, intersection, type Rights } from './rights.ts';
import { rightsInScopes } from './scope.ts';

export interface Claimant {
  readonly principal: Principal;
  readonly entitlements: Entitlements;
}

/** Finds the names whose namespace a push by the claimant would create. Makes a fixed number of queries for any number of names. */
export type FindClaims = (
  db: Db,
  claimant: Claimant,
  names: readonly RepositoryName[],
) => Promise<Map<RepositoryName, NamespaceClaim>>;

/** The claimant's rights in the namespace: all, bounded by the credential's scopes. */
export function rightsOfClaimant({ scopes }: Entitlements, name: RepositoryName): Rights {
  return scopes === undefined ? allRights : intersection(allRights, rightsInScopes(scopes, name));
}
