import { findAccount, insertAccount } from '../db/accounts.ts';
import type { Database } from '../db/database.ts';
import { setMember } from '../db/members.ts';
import type { Db } from '../db/prepare.ts';
import { asNamespace, type Namespace, namespaceOf, type RepositoryName } from '../oci/name.ts';
import type { Entitlements } from './entitlements.ts';
import type { Principal } from './identity.ts';
import { rightsInScopes } from './scope.ts';

/** Docker Hub's own images are kept there: it is the administrators', as are names of one component. */
const reserved = 'library';

/**
 * The namespace that this caller may make its own by pushing to `name`: one that no account has. Only people make namespaces, with
 * a credential that is good for a push there.
 */
export async function findClaimable(
  db: Db,
  principal: Principal,
  { scopes }: Entitlements,
  name: RepositoryName,
): Promise<Namespace | undefined> {
  const namespace = asNamespace(namespaceOf(name) ?? '');
  if (principal.kind !== 'user' || namespace === undefined || namespace === reserved) return undefined;
  if (scopes !== undefined && !rightsInScopes(scopes, name).has('create')) return undefined;
  return (await findAccount(db, namespace)) === undefined ? namespace : undefined;
}

/** Makes an organisation of that name, with the user as its admin; whoever else has made it meanwhile keeps it. */
export function claimNamespace(
  database: Database,
  namespace: Namespace,
  user: number,
  now: number,
): Promise<void> {
  return database.transaction(async (db) => {
    const organisation = await insertAccount(db, { name: namespace, kind: 'organisation' }, now);
    if (organisation !== undefined) await setMember(db, organisation, user, 'admin');
  });
}
