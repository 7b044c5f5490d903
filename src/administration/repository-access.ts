// Lists all rights in a repository, with their reasons.

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

export interface AccessEntry {
  readonly kind: GrantRow['kind'] | 'jobs' | 'everyone' | 'administrators';
  /** The name of a user or robot, of a team with its organisation, or of the trust of jobs. */
  readonly name: string | null;
  readonly rights: readonly Right[];
  /** The reason for the rights. */
  readonly by: string;
}

/** All rights in the repository, whether it exists or not. Includes disabled accounts, whose rights are suspended. */
export async function listRepositoryAccess(
  db: Db,
  name: RepositoryName,
  visibility: Visibility | undefined,
): Promise<AccessEntry[]> {
  const namespace = namespaceOf(name);
  const owner = namespace && (await findAccount(db, namespace));
  const granted = (await listGrants(db)).filter(({ pattern }) => matches(pattern as Pattern, name));
  return [
    { kind: 'administrators', name: null, rights: [...allRights], by: 'administrator rights' },
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

const everyone: AccessEntry = {
  kind: 'everyone',
  name: null,
  rights: [...rightsOfActions(['pull'])],
  by: 'the repository being public',
};

async function byNamespace(db: Db, owner: Account, name: RepositoryName): Promise<AccessEntry[]> {
  const own = below(owner.name);
  if (owner.kind === 'user') {
    return [{ kind: 'user', name: owner.name, rights: [...allRights], by: `owner of ${own}` }];
  }
  const all: AccessEntry[] = [];
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
