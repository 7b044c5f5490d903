// Who may do what with a repository, and by what, for whoever has to answer for it.

import { below, matches, type Pattern } from '../access/pattern.ts';
import { allRights, type Right, rightsOfActions, rightsOfRole } from '../access/rights.ts';
import { readScopes, rightsInScopes } from '../access/scope.ts';
import { type Account, findAccount } from '../db/accounts.ts';
import { listTrustScopes } from '../db/entitlements.ts';
import { type GrantRow, listGrants } from '../db/grants.ts';
import { listMembers } from '../db/members.ts';
import type { Db } from '../db/prepare.ts';
import type { Visibility } from '../db/schema.ts';
import { namespaceOf, type RepositoryName } from '../oci/name.ts';

export interface Access {
  readonly kind: GrantRow['kind'] | 'jobs' | 'everyone' | 'administrators';
  /** A user's, a robot's, a team's with its organisation, or that of the trust that lets jobs in. */
  readonly name: string | null;
  readonly rights: readonly Right[];
  /** How they come to have them. */
  readonly by: string;
}

/**
 * Every way in which anybody comes to have rights on the repository, whether it is there or not. Accounts that are disabled are
 * listed too: their rights rest.
 */
export async function whoMay(
  db: Db,
  name: RepositoryName,
  visibility: Visibility | undefined,
): Promise<Access[]> {
  const namespace = namespaceOf(name);
  const owner = namespace && (await findAccount(db, namespace));
  const granted = (await listGrants(db)).filter(({ pattern }) => matches(pattern as Pattern, name));
  return [
    { kind: 'administrators', name: null, rights: [...allRights], by: 'being administrators' },
    ...(owner ? await byNamespace(db, owner, name) : []),
    ...granted.map(({ kind, name, role, pattern }) => ({
      kind,
      name,
      rights: [...rightsOfRole(role)],
      by: `${role} on ${pattern}`,
    })),
    ...(visibility === 'public' ? [everyone] : []),
  ];
}

const everyone: Access = {
  kind: 'everyone',
  name: null,
  rights: [...rightsOfActions(['pull'])],
  by: 'its being public',
};

async function byNamespace(db: Db, owner: Account, name: RepositoryName): Promise<Access[]> {
  const own = below(owner.name);
  if (owner.kind === 'user') {
    return [{ kind: 'user', name: owner.name, rights: [...allRights], by: `owner of ${own}` }];
  }
  const all: Access[] = [];
  for await (const { name: member, role } of membersOf(db, owner.id)) {
    if (role === 'none') continue;
    all.push({
      kind: 'user',
      name: member,
      rights: [...rightsOfRole(role)],
      by: `${role} on ${own}, as a member`,
    });
  }
  for (const trust of await listTrustScopes(db, owner.id)) {
    const rights = [...rightsInScopes(readScopes(trust.scopes), name)];
    if (rights.length > 0) all.push({ kind: 'jobs', name: trust.name, rights, by: `trust of ${owner.name}` });
  }
  return all;
}

async function* membersOf(db: Db, organisation: number) {
  for (let after = ''; ; ) {
    const page = await listMembers(db, organisation, after, 1_000);
    yield* page;
    const last = page.at(-1);
    if (last === undefined) return;
    after = last.name;
  }
}
