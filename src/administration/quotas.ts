import { Refused } from '../access/refused.ts';
import { findAccount } from '../db/accounts.ts';
import type { Database } from '../db/database.ts';
import type { Db } from '../db/prepare.ts';
import {
  deleteQuota,
  type ListedQuota,
  listQuotas,
  type Quota,
  type QuotaOwner,
  setQuota,
} from '../db/quotas.ts';
import { findRepository } from '../db/repositories.ts';
import { listNamespaceUsage, listRepositoryUsage } from '../db/usage.ts';
import { quote } from '../oci/digest.ts';
import { asName, asNamespace, type RepositoryName } from '../oci/name.ts';
import { type ActingDatabase, change } from './change.ts';

/**
 * Sets limits of a user's or an organisation's namespace, or of a repository, and keeps its other limits. A limit below the present
 * usage refuses what would add to it.
 * @param text the name of the account or the repository
 * @throws Refused
 */
export function changeQuota(database: ActingDatabase, text: string, limits: Partial<Quota>): Promise<void> {
  return change(database, async (db, record) => {
    const { owner, detail, subject } = await findOwner(db, text);
    if ('repository' in owner && limits.repositories !== undefined) {
      throw new Refused(`${text} is a repository; --repositories is for a namespace`);
    }
    await setQuota(db, owner, limits, database.clock());
    await record('quota.set', { ...detail, ...limits }, subject);
  });
}

/** Removes all limits of {@link changeQuota}, so that the configured ones apply. @throws Refused */
export function removeQuota(database: ActingDatabase, text: string): Promise<void> {
  return change(database, async (db, record) => {
    const { owner, detail, subject } = await findOwner(db, text);
    if (!(await deleteQuota(db, owner))) throw new Refused(`${text} has no quota of its own`);
    await record('quota.delete', detail, subject);
  });
}

export interface QuotaInUse extends ListedQuota {
  readonly used: { readonly bytes: number; readonly tags: number; readonly repositories: number };
}

/** All quotas besides the configured ones, with what is used of them, the oldest first. */
export async function* allQuotas({ read }: Pick<Database, 'read'>): AsyncGenerator<QuotaInUse> {
  for (let after = 0; ; ) {
    const page = await listQuotas(read, after, 1_000);
    for (const quota of page) yield { ...quota, used: await usedOf(read, quota) };
    const last = page.at(-1);
    if (last === undefined) return;
    after = last.id;
  }
}

async function usedOf(read: Db, { level, name }: ListedQuota): Promise<QuotaInUse['used']> {
  const [usage] =
    level === 'namespace'
      ? await listNamespaceUsage(read, name, 1)
      : await listRepositoryUsage(read, name, '', 1);
  const found = usage !== undefined && ('namespace' in usage ? usage.namespace : usage.name) === name;
  if (!found) return { bytes: 0, tags: 0, repositories: 0 };
  const { bytes, tags } = usage;
  return { bytes, tags, repositories: 'repositories' in usage ? usage.repositories : 1 };
}

interface Found {
  readonly owner: QuotaOwner;
  readonly detail: { readonly namespace?: string };
  readonly subject?: { readonly repository: RepositoryName; readonly repositoryId: number };
}

/** @throws Refused */
async function findOwner(db: Db, text: string): Promise<Found> {
  const namespace = asNamespace(text);
  const account = namespace && (await findAccount(db, namespace));
  if (account !== undefined) return { owner: { account: account.id }, detail: { namespace: account.name } };
  const repository = asName(text);
  const repositoryId = repository && (await findRepository(db, repository));
  if (repository === undefined || repositoryId === undefined) {
    const missing = text.includes('/') ? 'repository' : 'user, organisation or repository';
    throw new Refused(`there is no ${missing} ${repository ?? quote(text)}`);
  }
  return { owner: { repository: repositoryId }, detail: {}, subject: { repository, repositoryId } };
}
