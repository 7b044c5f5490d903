import { findAccount, findAccountById, insertAccount } from '../db/accounts.ts';
import type { Database } from '../db/database.ts';
import { setMember } from '../db/members.ts';
import type { Db } from '../db/prepare.ts';
import { dropEmptyRepositories, repositoriesInUse } from '../db/repositories.ts';
import { asNamespace, type Namespace, namespaceOf, type RepositoryName } from '../oci/name.ts';
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
  { scopes }: Entitlements,
  name: RepositoryName,
): Promise<Claim | undefined> {
  const first = namespaceOf(name);
  const namespace = first && asNamespace(first);
  if (principal.kind !== 'user' || namespace === undefined || namespace === reserved) return undefined;
  if (scopes !== undefined && !rightsInScopes(scopes, name).has('create')) return undefined;
  return (await isFree(db, namespace)) ? { namespace, user: principal.id } : undefined;
}

async function isFree(db: Db, namespace: Namespace): Promise<boolean> {
  if ((await findAccount(db, namespace)) !== undefined) return false;
  return (await repositoriesInUse(db, namespace, 0)).count === 0;
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
    const organisation = await insertAccount(db, { name: namespace, kind: 'organisation' }, now);
    if (organisation !== undefined) await setMember(db, organisation, user, 'admin');
  });
}
