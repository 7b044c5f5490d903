// Users make namespaces by pushing to a name that is free. A namespace comes to be with the first thing that is stored in it, in the
// same transaction: neither a request that fails nor an upload that is never finished takes a name.
import { countClaimed, findAccount, findAccountById } from '../db/accounts.ts';
import { lockAccounts } from '../db/locks.ts';
import { findMemberRole, setMember } from '../db/members.ts';
import type { Db } from '../db/prepare.ts';
import { dropEmptyRepositories, freeNamespaces } from '../db/repositories.ts';
import { RegistryError } from '../oci/errors.ts';
import { asNamespace, type Namespace, namespaceOf, type RepositoryName } from '../oci/name.ts';
import { addAccount, startAnew } from './administration/accounts.ts';
import type { Entitlements } from './entitlements.ts';
import type { Principal } from './identity.ts';
import { reserved } from './reserved.ts';
import { allRights, intersection, type Rights } from './rights.ts';
import { rightsInScopes } from './scope.ts';

/** Who asks, and how many namespaces they may make by pushing; 0: only administrators make namespaces. */
export interface Claimant {
  readonly principal: Principal;
  readonly entitlements: Entitlements;
  readonly namespacesPerUser: number;
}

/**
 * Those of the names below a namespace that a push would make the caller's own: no account has its name, nothing is stored in it, as
 * what is there belongs to the administrators, and the sign-on provider calls nobody else so. Only people make namespaces, with a
 * credential that is good for a push there, and so many each.
 */
export async function findClaimable(
  db: Db,
  { principal, entitlements: { scopes }, namespacesPerUser }: Claimant,
  names: readonly RepositoryName[],
): Promise<Map<RepositoryName, NamespaceClaim>> {
  if (principal.kind !== 'user' || namespacesPerUser === 0) return new Map();
  const wanted = new Map<RepositoryName, Namespace>();
  for (const name of names) {
    const namespace = asNamespace(namespaceOf(name) ?? '');
    if (namespace === undefined || namespace === reserved) continue;
    if (scopes === undefined || rightsInScopes(scopes, name).has('create')) wanted.set(name, namespace);
  }
  if (wanted.size === 0 || (await countClaimed(db, principal.id)) >= namespacesPerUser) return new Map();
  const free = await freeNamespaces(db, [...new Set(wanted.values())], principal.id);
  return new Map(
    [...wanted]
      .filter(([, namespace]) => free.has(namespace))
      .map(([name, namespace]) => [name, new NamespaceClaim(namespace, principal.id, namespacesPerUser)]),
  );
}

/** What its claimant may do in the namespace, as far as the credential goes. */
export function rightsOfClaimant({ scopes }: Entitlements, name: RepositoryName): Rights {
  return scopes === undefined ? allRights : intersection(allRights, rightsInScopes(scopes, name));
}

/** A free namespace that becomes its claimant's with the first thing that they store in it. */
export class NamespaceClaim {
  readonly namespace: Namespace;
  readonly #user: number;
  readonly #perUser: number;
  #made = false;

  constructor(namespace: Namespace, user: number, perUser: number) {
    this.namespace = namespace;
    this.#user = user;
    this.#perUser = perUser;
  }

  /** Whether this claim has made the namespace, if its transaction was committed. */
  get made(): boolean {
    return this.#made;
  }

  /** Before an upload begins: what was emptied there before is not gone on with. */
  async prepare(db: Db, now: number): Promise<void> {
    await dropEmptyRepositories(db, this.namespace, now);
  }

  /**
   * Makes an organisation of that name, with the user as its admin, first of all in the transaction that stores something there.
   * Nothing is left of what was there and granted there before.
   *
   * @throws RegistryError `DENIED` where it is not the user's to make any more
   */
  async make(db: Db, now: number): Promise<void> {
    const [namespace, user] = [this.namespace, this.#user];
    await lockAccounts(db);
    const taken = await findAccount(db, namespace);
    // Another request of the same push has made it.
    if (taken && (await findMemberRole(db, taken.id, user)) === 'admin') return;
    const owner = await findAccountById(db, user);
    const may =
      owner?.disabledAt === null &&
      (await countClaimed(db, user)) < this.#perUser &&
      (await freeNamespaces(db, [namespace], user)).has(namespace);
    if (!may) throw new RegistryError('DENIED', `${namespace} is not yours to make any more`);
    await startAnew(db, namespace, now);
    const account = { name: namespace, kind: 'organisation', claimedBy: user } as const;
    await setMember(db, await addAccount(db, account, now), user, 'admin');
    this.#made = true;
  }
}
