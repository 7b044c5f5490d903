// How repositories end, with all that they hold.
import { listLinkedDigests, postponeReviews } from '../db/blobs.ts';
import { lockRepository } from '../db/locks.ts';
import type { Db } from '../db/prepare.ts';
import { deleteRepositoryRows, listEmptyRepositories } from '../db/repositories.ts';
import type { Namespace } from '../oci/name.ts';

/**
 * Deletes the repository with all that it holds; returns false when it is gone already. Bytes that no other repository holds are
 * collected later, as after any delete. A later repository of the same name has another id.
 */
export async function deleteRepository(db: Db, id: number, now: number): Promise<boolean> {
  // From here on nothing is put into it: a push waits for the lock, and then finds no repository.
  await lockRepository(db, id);
  await postponeReviews(db, id, await listLinkedDigests(db, id), now);
  return deleteRepositoryRows(db, id);
}

/** Deletes the repositories of the namespace that hold no manifest and receive no upload: the next owner of the name starts anew. */
export async function deleteEmptyRepositories(db: Db, namespace: Namespace, now: number): Promise<void> {
  for (const id of await listEmptyRepositories(db, namespace)) {
    await lockRepository(db, id);
    // Another transaction may have pushed to it before this one had the lock.
    const [still] = await listEmptyRepositories(db, namespace, id);
    if (still !== undefined) await deleteRepository(db, id, now);
  }
}
