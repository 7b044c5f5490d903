// Users create a namespace by pushing to a free name. It is created with the first content stored in it, in the same transaction,
// so that a failed request or an unfinished upload takes no name.

import type { Claimant, FindClaims } from '../access/namespace-claims.ts';
import { reserved } from '../access/reserved.ts';
import { rightsInScopes } from '../access/scope.ts';
import { deleteEmptyRepositories } from '../core/delete-repository.ts';
import { countClaimed, findAccount, findAccountById } from '../db/accounts.ts';
import { type Actor, recordChange } from '../db/changes.ts';
import { lockAccounts } from '../db/locks.ts';
import { findMemberRole, setMember } from '../db/members.ts';
import type { NamespaceClaim } from '../db/namespace-claim.ts';
import type { Db } from '../db/prepare.ts';
import { freeNamespaces } from '../db/repositories.ts';
import { RegistryError } from '../oci/errors.ts';
import { asNamespace, type Namespace, namespaceOf, type RepositoryName } from '../oci/name.ts';
import { addAccount, clearNamespace } from './accounts.ts';

/**
 * Finds the names whose namespace a push by the caller would create. Such a namespace has no account and no content, because
 * existing content belongs to the administrators. Its name is not the name of another user at the sign-on provider. Only users
 * create namespaces, with a credential that may push there, and up to a limit.
 * @param namespacesPerUser how many namespaces a user may create by pushes; 0: only administrators create namespaces
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

/** The claim of a user, who becomes an admin of the new organisation. */
export class UserClaim implements NamespaceClaim {
  readonly namespace: Namespace;
  readonly #user: number;
  readonly #perUser: number;
  readonly #repository: RepositoryName | undefined;

  /** @param repository the repository of the push */
  constructor(namespace: Namespace, user: number, perUser: number, repository?: RepositoryName) {
    this.#repository = repository;
    this.namespace = namespace;
    this.#user = user;
    this.#perUser = perUser;
  }

  /** Runs before an upload begins. Deletes empty repositories, so that the upload does not continue in one of them. */
  async prepare(db: Db, now: number): Promise<void> {
    await deleteEmptyRepositories(db, this.namespace, now);
  }

  /**
   * Creates an organisation with this name and the user as its admin. Runs first in the transaction that stores content. Removes
   * earlier empty repositories and grants.
   * @throws RegistryError `DENIED` if the namespace is taken or the user may no longer create it
   */
  async make(db: Db, by: Actor, now: number): Promise<void> {
    const [namespace, user] = [this.namespace, this.#user];
    await lockAccounts(db);
    const taken = await findAccount(db, namespace);
    // Another request of the same push has created it.
    if (taken && (await findMemberRole(db, taken.id, user)) === 'admin') return;
    const owner = await findAccountById(db, user);
    const may =
      owner?.disabledAt === null &&
      (await countClaimed(db, user)) < this.#perUser &&
      (await freeNamespaces(db, [namespace], user)).has(namespace);
    if (!may)
      throw new RegistryError(
        'DENIED',
        `namespace ${namespace} is already taken, or you may not create more namespaces`,
      );
    await clearNamespace(db, namespace, now);
    const account = { name: namespace, kind: 'organisation', claimedBy: user } as const;
    await setMember(db, await addAccount(db, account, now), user, 'admin');
    const detail = { organisation: namespace, repository: this.#repository };
    await recordChange(db, by, { kind: 'organisation.create', detail }, now);
  }
}
