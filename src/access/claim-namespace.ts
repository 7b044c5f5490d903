import { findAccountById } from '../db/accounts.ts';
import type { Database } from '../db/database.ts';
import { setMember } from '../db/members.ts';
import type { Db } from '../db/prepare.ts';
import { dropEmptyRepositories, freeNamespaces } from '../db/repositories.ts';
import { asNamespace, type Namespace, namespaceOf, type RepositoryName } from '../oci/name.ts';
import { addAccount } from './administration/accounts.ts';
import { change } from './administration/change.ts';
import type { Entitlements } from './entitlements.ts';
import type { Principal } from './identity.ts';
import { reserved } from './reserved.ts';
import { rightsInScopes } from './scope.ts';

/** A namespace, and the user whose it may become. */
export interface Claim {
  readonly namespace: Namespace;
  readonly user: number;
}

/**
 * What this caller may make its own by pushing to `name`: a namespace that no account has, and that holds nothing, as what is
 * there belongs to the administrators. Only people make namespaces, with a credential that is good for a push there.
 */
export async function findClaimable(
  db: Db,
  principal: Principal,
  entitlements: Entitlements,
  name: RepositoryName,
): Promise<Claim | undefined> {
  const claim = claimBy(principal, entitlements, name);
  return claim !== undefined && (await isFree(db, claim.namespace)) ? claim : undefined;
}

/** Those of the names by a push to which the caller may make a namespace its own. */
export async function findAllClaimable(
  db: Db,
  principal: Principal,
  entitlements: Entitlements,
  names: readonly RepositoryName[],
): Promise<Set<RepositoryName>> {
  const claims = names.flatMap((name) => {
    const claim = claimBy(principal, entitlements, name);
    return claim === undefined ? [] : [{ name, namespace: claim.namespace }];
  });
  if (claims.length === 0) return new Set();
  const free = await freeNamespaces(db, [...new Set(claims.map(({ namespace }) => namespace))]);
  return new Set(claims.filter(({ namespace }) => free.has(namespace)).map(({ name }) => name));
}

/** What it comes to if the namespace is free. */
function claimBy(principal: Principal, { scopes }: Entitlements, name: RepositoryName): Claim | undefined {
  const first = namespaceOf(name);
  const namespace = first && asNamespace(first);
  if (principal.kind !== 'user' || namespace === undefined || namespace === reserved) return undefined;
  if (scopes !== undefined && !rightsInScopes(scopes, name).has('create')) return undefined;
  return { namespace, user: principal.id };
}

async function isFree(db: Db, namespace: Namespace): Promise<boolean> {
  return (await freeNamespaces(db, [namespace])).has(namespace);
}

/**
 * Makes an organisation of that name, with the user as its admin, if they are still there; whoever else has made it meanwhile, or
 * has put something there, keeps it.
 */
export function claimNamespace(database: Database, { namespace, user }: Claim, now: number): Promise<void> {
  return change(database, async (db) => {
    const owner = await findAccountById(db, user);
    if (owner === undefined || owner.disabledAt !== null) return;
    if (!(await isFree(db, namespace))) return;
    await dropEmptyRepositories(db, namespace, now);
    const organisation = await addAccount(db, { name: namespace, kind: 'organisation' }, now);
    await setMember(db, organisation, user, 'admin');
  });
}
