// Retention policies, and what they keep and remove.
import { Refused } from '../access/refused.ts';
import type { RetentionPolicy } from '../config/retention-policy.ts';
import { type Judgement, type RetentionTerms, retain } from '../core/retention/retain.ts';
import { type Governed, governed, governedRepositories } from '../core/retention/run.ts';
import type { Database } from '../db/database.ts';
import type { Db } from '../db/prepare.ts';
import { findRepository } from '../db/repositories.ts';
import {
  deletePolicy,
  listPolicies,
  type PolicyOwner,
  type PolicyRow,
  setPolicy,
} from '../db/retention-policies.ts';
import { printName } from '../oci/hidden-name.ts';
import { asNamespace, type RepositoryName } from '../oci/name.ts';
import { accountNamed } from './accounts.ts';
import { type ActingDatabase, change } from './change.ts';
import { hasNamespace, parseRepositoryName } from './repositories.ts';

type Reading = Pick<Database, 'read'>;

/** The owner of a policy, as a user names it. */
export type PolicyOwnerName = 'registry' | { readonly namespace: string } | { readonly repository: string };

/** `namespace acme`, `repository acme/app`, or `the registry`. */
export function printOwnerName(owner: PolicyOwnerName): string {
  if (owner === 'registry') return 'the registry';
  return 'namespace' in owner ? `namespace ${owner.namespace}` : `repository ${owner.repository}`;
}

export interface ListedPolicy extends Omit<PolicyRow, 'policy' | 'updated_at'> {
  readonly policy: RetentionPolicy;
  /** Milliseconds since 1970. */
  readonly updatedAt: number;
}

/**
 * Sets the policy of the owner, in place of an earlier one.
 * @param keepMovesFor milliseconds for which moves of tags are kept
 * @throws Refused
 */
export async function setRetentionPolicy(
  database: ActingDatabase,
  owner: PolicyOwnerName,
  policy: RetentionPolicy,
  keepMovesFor: number,
): Promise<void> {
  // What is forgotten while a run lasts needs some time too.
  if ((policy.untagged?.removeAfter ?? 0) >= keepMovesFor) {
    throw new Refused(
      'untagged.removeAfter is not shorter than history.keepFor, so Berth would forget when a manifest lost its last tag; make it shorter',
    );
  }
  await change(database, async (db, record) => {
    await setPolicy(db, await findOwner(db, owner), JSON.stringify(policy), database.clock());
    await record('retention.set', { ...detailOf(owner), policy }, await subjectOf(db, owner));
  });
}

/** @throws Refused if the owner has no policy */
export async function deleteRetentionPolicy(database: ActingDatabase, owner: PolicyOwnerName): Promise<void> {
  await change(database, async (db, record) => {
    if (!(await deletePolicy(db, await findOwner(db, owner)))) {
      throw new Refused(`${printOwnerName(owner)} has no retention policy`);
    }
    await record('retention.delete', detailOf(owner), await subjectOf(db, owner));
  });
}

/** All policies, by age. A repository in the trash keeps its policy. */
export async function* retentionPolicies({ read }: Reading): AsyncGenerator<ListedPolicy> {
  for (let after = 0; ; ) {
    const page: (PolicyRow & { readonly id: number })[] = await listPolicies(read, after, 500);
    for (const { level, name, policy, updated_at: updatedAt } of page) {
      const shown = name === null ? null : printName(name);
      yield { level, name: shown, policy: JSON.parse(policy), updatedAt };
    }
    const last = page.at(-1);
    if (last === undefined) return;
    after = last.id;
  }
}

/** The policy that applies to a repository. @throws Refused if the repository does not exist, or no policy applies */
export async function policyOf({ read }: Reading, repository: string): Promise<Governed> {
  const [found] = await governed(read, [await repositoryNamed(read, repository)]);
  if (found !== undefined) return found;
  throw new Refused(`no retention policy applies to ${repository}; nothing is removed there`);
}

/**
 * What a policy keeps and removes in one repository; removes nothing unless `terms` has a remover.
 * @param policy instead of the policy that applies
 * @throws Refused
 */
export async function* explainRetention(
  terms: RetentionTerms,
  repository: string,
  policy: RetentionPolicy,
): AsyncGenerator<Judgement> {
  yield* retain(terms, await repositoryNamed(terms.read, repository), policy);
}

/**
 * The repositories with a policy: all, or those of a namespace, or one.
 * @param text a namespace or a repository; absent for all
 * @throws Refused if there is no such repository or namespace
 */
export async function governedBy({ read }: Reading, text?: string): Promise<AsyncIterable<Governed>> {
  if (text === undefined) return governedRepositories(read, '');
  const name = parseRepositoryName(text);
  const id = await findRepository(read, name);
  const namespace = id === undefined ? asNamespace(text) : undefined;
  if (namespace !== undefined) {
    if (await hasNamespace(read, namespace)) return governedRepositories(read, `${namespace}/`);
    throw new Refused(`there is no namespace or repository ${namespace}`);
  }
  return (async function* () {
    yield await policyOf({ read }, text);
  })();
}

async function repositoryNamed(db: Db, text: string): Promise<{ id: number; name: RepositoryName }> {
  const name = parseRepositoryName(text);
  const id = await findRepository(db, name);
  if (id === undefined) throw new Refused(`there is no repository ${name}`);
  return { id, name };
}

/** @throws Refused */
async function findOwner(db: Db, owner: PolicyOwnerName): Promise<PolicyOwner> {
  if (owner === 'registry') return owner;
  return 'namespace' in owner
    ? { account: (await accountNamed(db, owner.namespace, 'organisation', 'user')).id }
    : { repository: (await repositoryNamed(db, owner.repository)).id };
}

function detailOf(owner: PolicyOwnerName): { readonly namespace?: string } {
  return typeof owner === 'object' && 'namespace' in owner ? { namespace: owner.namespace } : {};
}

async function subjectOf(db: Db, owner: PolicyOwnerName) {
  if (owner === 'registry' || 'namespace' in owner) return undefined;
  const { id: repositoryId, name: repository } = await repositoryNamed(db, owner.repository);
  return { repository, repositoryId };
}
