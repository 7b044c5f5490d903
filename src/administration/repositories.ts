import { Refused } from '../access/refused.ts';
import { deleteRepository, refuseImmutableRepository, trashRepository } from '../core/delete-repository.ts';
import { QuotaExceeded } from '../core/quotas.ts';
import { findAccount } from '../db/accounts.ts';
import type { Database } from '../db/database.ts';
import type { Db } from '../db/prepare.ts';
import {
  findOrCreateRepository,
  findRepository,
  findRepositoryRow,
  setVisibility,
} from '../db/repositories.ts';
import { listSummaries, type RepositorySummary } from '../db/repository-ranges.ts';
import type { Visibility } from '../db/schema.ts';
import { listRepositoryUsage } from '../db/usage.ts';
import { quote } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { asName, type Namespace, type RepositoryName } from '../oci/name.ts';
import type { TagRule } from '../oci/tag-rule.ts';
import { type ActingDatabase, recording } from './change.ts';
import { type AccessEntry, listRepositoryAccess } from './repository-access.ts';

/** @throws Refused */
export function parseRepositoryName(text: string): RepositoryName {
  const name = asName(text);
  if (name !== undefined) return name;
  throw new Refused(
    `${quote(text)} is not a valid repository name: a name has components of lowercase letters and digits, separated by '.', '_', '__' or '-', joined by '/'`,
  );
}

/** Whether the namespace has an owner or repositories, perhaps in the trash. */
export async function hasNamespace(db: Db, namespace: Namespace): Promise<boolean> {
  if ((await findAccount(db, namespace)) !== undefined) return true;
  return (await listRepositoryUsage(db, `${namespace}/`, '', 1)).length > 0;
}

function unknown(name: RepositoryName): Refused {
  return new Refused(`there is no repository ${name}`);
}

/** Repositories whose names begin with `prefix`, including empty repositories, in byte order. */
export async function* repositoriesFrom(
  { read }: Pick<Database, 'read'>,
  prefix: string,
): AsyncGenerator<RepositorySummary> {
  for (let after = ''; ; ) {
    const page = await listSummaries(read, prefix, after, 1_000);
    yield* page;
    const last = page.at(-1);
    if (last === undefined) return;
    after = last.name;
  }
}

/** @throws Refused */
export async function showRepository(
  { read }: Pick<Database, 'read'>,
  text: string,
): Promise<RepositorySummary & { readonly access: readonly AccessEntry[] }> {
  const name = parseRepositoryName(text);
  const [summary] = await listSummaries(read, name, '', 1);
  if (summary?.name !== name) throw unknown(name);
  return { ...summary, access: await listRepositoryAccess(read, name, summary.visibility) };
}

/** All rights in a repository with this name, which need not exist. @throws Refused */
export async function accessTo({ read }: Pick<Database, 'read'>, text: string): Promise<AccessEntry[]> {
  const name = parseRepositoryName(text);
  return listRepositoryAccess(read, name, (await findRepositoryRow(read, name))?.visibility);
}

/**
 * Changes the visibility. Creates the repository if it does not exist, so that it can be public before its first push.
 * @returns true if it was created
 * @throws Refused
 */
export async function changeVisibility(
  database: ActingDatabase,
  text: string,
  visibility: Visibility,
): Promise<boolean> {
  const name = parseRepositoryName(text);
  return recording(database, async (db, record) => {
    const found = await findRepositoryRow(db, name);
    if (found?.visibility === visibility) return false;
    const repositoryId = found?.id ?? (await findOrCreateRepository(db, name, database.clock()));
    await setVisibility(db, repositoryId, visibility);
    await record('repository.update', { visibility }, { repository: name, repositoryId });
    return found === undefined;
  });
}

export interface RepositoryDeletion {
  /** The configured tag rules. */
  readonly immutableTags: readonly TagRule[];
  /** Move it to the trash, instead of deleting it for good. */
  readonly trash: boolean;
  /** Delete immutable tags too. */
  readonly force?: boolean | undefined;
}

/**
 * Deletes the repository and everything in it; grants for its name stay.
 * @throws Refused
 */
export async function removeRepository(
  database: ActingDatabase,
  text: string,
  { immutableTags, trash, force = false }: RepositoryDeletion,
): Promise<void> {
  const name = parseRepositoryName(text);
  await recording(database, async (db, record) => {
    const repository = await findRepository(db, name);
    if (repository === undefined) throw unknown(name);
    const deletion = { repository, name, by: database.by, now: database.clock() };
    if (!force) await namingForce(refuseImmutableRepository(db, deletion, immutableTags), name, 'delete');
    const deleted = trash
      ? await trashRepository(db, deletion)
      : await deleteRepository(db, repository, deletion.now);
    // Another transaction may have deleted the repository in the meantime.
    if (!deleted) throw unknown(name);
    const detail = trash ? undefined : { permanently: true };
    await record('repository.delete', detail, { repository: name, repositoryId: repository });
  });
}

/** Adds to the refusal of a repository with immutable tags that --force changes it anyway. @throws Refused */
export async function namingForce<T>(
  work: Promise<T>,
  name: RepositoryName,
  verb: 'delete' | 'rename',
): Promise<T> {
  return work.catch((error: unknown) => {
    if (!(error instanceof RegistryError && error.code === 'DENIED')) throw error;
    const remedy = error instanceof QuotaExceeded ? '' : `; --force ${verb}s it anyway`;
    throw new Refused(`${name} cannot be ${verb}d: ${error.message}${remedy}`);
  });
}
