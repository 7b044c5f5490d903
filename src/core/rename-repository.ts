// Renames repositories. All that belongs to a repository, also its history and running uploads, refers to it by id and stays.
import { lockRepository, lockTagRules } from '../db/locks.ts';
import type { Db } from '../db/prepare.ts';
import { setRepositoryName } from '../db/repositories.ts';
import { deleteAlias, insertAlias } from '../db/repository-aliases.ts';
import { renameHidden } from '../db/trash.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { TagRule } from '../oci/tag-rule.ts';
import { refuseIfTaggedImmutably } from './immutable-tags.ts';
import { lockDestination, moveInto, type QuotaDefaults } from './quotas.ts';

export interface Rename {
  readonly id: number;
  readonly from: RepositoryName;
  /** No repository may have this name; an alias with this name is deleted. */
  readonly to: RepositoryName;
  /** Milliseconds for which the former name stays as an alias; 0: no alias. */
  readonly aliasFor: number;
  /** The configured rules of immutable tags; absent: rename the repository even if it has an immutable tag. */
  readonly unlessImmutable?: readonly TagRule[] | undefined;
  /** The configured quotas. */
  readonly quotas: QuotaDefaults;
}

/**
 * Renames a repository. Refuses one with an immutable tag, because the rules of another namespace may apply after it, and another
 * image could be pushed to the former name. Refuses what does not fit into a quota of the new namespace.
 *
 * @returns false if the repository was deleted or renamed before
 * @throws RegistryError `DENIED`
 */
export async function renameRepository(db: Db, rename: Rename, now: number): Promise<boolean> {
  const { id, from, to, aliasFor, unlessImmutable, quotas } = rename;
  await lockRepository(db, id);
  const destination = await lockDestination(db, quotas, from, to);
  // Waits for pushes that move tags by the rules as they are.
  await lockTagRules(db);
  if (unlessImmutable !== undefined) await refuseIfTaggedImmutably(db, unlessImmutable, from);
  const renamed = await moveInto(db, quotas, destination, async () => {
    if (!(await setRepositoryName(db, id, from, to))) return false;
    await renameHidden(db, id, to);
    return true;
  });
  if (!renamed) return false;
  await deleteAlias(db, to);
  if (aliasFor > 0) await insertAlias(db, { name: from, repository: id, expiresAt: now + aliasFor }, now);
  return true;
}
