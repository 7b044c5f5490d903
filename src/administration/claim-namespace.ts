// Users make namespaces by pushing to a name that is free. A namespace comes to be with the first thing that is stored in it, in the
// same transaction: neither a request that fails nor an upload that is never finished takes a name.

import type { Claimant, FindClaims, NamespaceClaim } from '../access/namespace-claims.ts';
import { reserved } from '../access/reserved.ts';
import { rightsInScopes } from '../access/scope.ts';
import { deleteEmptyRepositories } from '../core/delete-repository.ts';
import { countClaimed, findAccount, findAccountById } from '../db/accounts.ts';
import { type Actor, recordChange } from '../db/changes.ts';
import { lockAccounts } from '../db/locks.ts';
import { findMemberRole, setMember } from '../db/members.ts';
import type { Db } from '../db/prepare.ts';
import { freeNamespaces } from '../db/repositories.ts';
import { RegistryError } from '../oci/errors.ts';
import { asNamespace, type Namespace, namespaceOf, type RepositoryName } from '../oci/name.ts';
import { addAccount, startAnew } from './accounts.ts';

/**
 * Claims for those of the names below a namespace that a push would make the caller's own: no account has its name, nothing is stored in it, as
 * what is there belongs to the administrators, and the sign-on provider calls nobody else so. Only people make namespaces, with a
 * credential that is good for a push there, and so many each.
 *
 * @param namespacesPerUser how many namespaces a user may make by pushing; 0: only administrators make namespaces
 */
export function claimsOfUsers(namespacesPerUser: number): FindClaims {
  return (db, claimant, names) => findClaims(db, claimant, names, namespacesPerUser);
}

async function findClaims(
  db: Db,
  { principal, entitlements: { scopes } }: Claimant,
  names: readonly RepositoryName[],
  namespacesPerUser: number,
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
      .map(([name, namespace]) => [name, new UserClaim(namespace, principal.id, namespacesPerUser, name)]),
  );
}

/** A claim of a user, who becomes the admin of the organisation. */
export class UserClaim implements NamespaceClaim {
  readonly namespace: Namespace;
  readonly #user: number;
  readonly #perUser: number;
  readonly #repository: RepositoryName | undefined;

  /** @param repository where the push goes to */
  constructor(namespace: Namespace, user: number, perUser: number, repository?: RepositoryName) {
    this.#repository = repository;
    this.namespace = namespace;
    this.#user = user;
    this.#perUser = perUser;
  }

  /** Before an upload begins: what was emptied there before is not gone on with. */
  async prepare(db: Db, now: number): Promise<void> {
    await deleteEmptyRepositories(db, this.namespace, now);
  }

  /**
   * Makes an organisation of that name, with the user as its admin, first of all in the transaction that stores something there.
   * Nothing is left of what was there and granted there before.
   *
   * @throws RegistryError `DENIED` where it is not the user's to make any more
   */
  async make(db: Db, by: Actor, now: number): Promise<void> {
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
    const detail = { organisation: namespace, repository: this.#repository };
    await recordChange(db, by, { kind: 'organisation.create', detail }, now);
  }
}
