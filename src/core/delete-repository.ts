// Deletes repositories and everything in them.

import { queueUnheld } from '../db/blob-deletions.ts';
import { listLinkedDigests } from '../db/blob-links.ts';
import { postponeReviews } from '../db/blob-reviews.ts';
import { printActor } from '../db/changes.ts';
import { lockRepository, lockTagRulesShared } from '../db/locks.ts';
import type { Db } from '../db/prepare.ts';
import { deleteRepositoryRows, deleteUploadsOf, listEmptyRepositories } from '../db/repositories.ts';
import { findHidden, hideRepository, insertTrash } from '../db/trash.ts';
import type { Digest } from '../oci/digest.ts';
import type { Namespace } from '../oci/name.ts';
import type { TagRule } from '../oci/tag-rule.ts';
import type { Deletion } from './delete-image.ts';
import { refuseIfTaggedImmutably } from './immutable-tags.ts';

/**
 * Deletes the repository and everything in it for good, also what the trash has of it; returns false if it does not exist. Bytes that
 * no other repository holds are collected later, as after any deletion. A later repository of the same name gets another id.
 */
export async function deleteRepository(db: Db, id: number, now: number): Promise<boolean> {
  // A concurrent push now waits for the lock, and then finds no repository.
  await lockRepository(db, id);
  const hidden = await findHidden(db, id);
  if (hidden !== undefined) await lockRepository(db, hidden);
  const ids = hidden === undefined ? [id] : [hidden, id];
  const digests = new Set<Digest>();
  for (const each of ids) for (const digest of await listLinkedDigests(db, each)) digests.add(digest);
  await postponeReviews(db, digests, now);
  let isDeleted = false;
  for (const each of ids) isDeleted = await deleteRepositoryRows(db, each);
  await queueUnheld(db, [...digests], now);
  return isDeleted;
}

/** Moves the repository to the trash with everything in it, and ends its open uploads; returns false if it does not exist. */
export async function trashRepository(db: Db, { repository, name, by, now }: Deletion): Promise<boolean> {
  // A concurrent push now waits for the lock, and then finds no repository of this name.
  await lockRepository(db, repository);
  if (!(await hideRepository(db, repository, name, now))) return false;
  await deleteUploadsOf(db, repository);
  const actor = printActor(by);
  await insertTrash(db, { repository, kind: 'repository', tag: null, digest: null, now, actor });
  return true;
}

/**
 * Refuses to delete a repository that has an immutable tag. Locks the repository.
 * @param configured the configured rules, for every repository
 * @throws RegistryError `DENIED`
 */
export async function refuseImmutableRepository(
  db: Db,
  { repository, name }: Pick<Deletion, 'repository' | 'name'>,
  configured: readonly TagRule[],
): Promise<void> {
  await lockRepository(db, repository);
  await lockTagRulesShared(db);
  await refuseIfTaggedImmutably(db, configured, name);
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
