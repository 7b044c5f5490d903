// Deletes repositories and everything in them.

import { queueUnheld } from '../db/blob-deletions.ts';
import { listLinkedDigests } from '../db/blob-links.ts';
import { postponeReviews } from '../db/blob-reviews.ts';
import { lockRepository, lockTagRulesShared } from '../db/locks.ts';
import type { Db } from '../db/prepare.ts';
import { deleteRepositoryRows, listEmptyRepositories } from '../db/repositories.ts';
import type { Namespace, RepositoryName } from '../oci/name.ts';
import type { TagRule } from '../oci/tag-rule.ts';
import { refuseIfTaggedImmutably } from './immutable-tags.ts';

/**
 * Deletes the repository and everything in it; returns false if it does not exist. Bytes that no other repository holds are
 * collected later, as after any deletion. A later repository of the same name gets another id.
 */
export async function deleteRepository(db: Db, id: number, now: number): Promise<boolean> {
  // A concurrent push now waits for the lock, and then finds no repository.
  await lockRepository(db, id);
  const digests = await listLinkedDigests(db, id);
  await postponeReviews(db, digests, now);
  const isDeleted = await deleteRepositoryRows(db, id);
  await queueUnheld(db, digests, now);
  return isDeleted;
}

/**
 * {@link deleteRepository}, unless the repository has an immutable tag.
 * @param configured the configured rules, for every repository
 * @throws RegistryError `DENIED`
 */
export async function deleteMutableRepository(
  db: Db,
  { id, name }: { readonly id: number; readonly name: RepositoryName },
  configured: readonly TagRule[],
  now: number,
): Promise<boolean> {
  await lockTagRulesShared(db);
  await lockRepository(db, id);
  await refuseIfTaggedImmutably(db, configured, name);
  return deleteRepository(db, id, now);
}

/** Deletes the namespace's repositories without manifests and open uploads, so that the name's next owner inherits nothing. */
export async function deleteEmptyRepositories(db: Db, namespace: Namespace, now: number): Promise<void> {
  for (const id of await listEmptyRepositories(db, namespace)) {
    await lockRepository(db, id);
    // Another transaction may have pushed before this one got the lock.
    const [still] = await listEmptyRepositories(db, namespace, id);
    if (still !== undefined) await deleteRepository(db, id, now);
  }
}
