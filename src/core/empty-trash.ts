// Deletes for good what is in the trash.

import { lockReferenced } from '../db/blob-reviews.ts';
import type { Database } from '../db/database.ts';
import { lockManifest, lockRepository } from '../db/locks.ts';
import { deleteManifest, findManifestIn, listReferenced } from '../db/manifests.ts';
import type { Db } from '../db/prepare.ts';
import {
  deleteTrash,
  deleteTrashedManifest,
  deleteTrashedTags,
  findHidden,
  isHidden,
  listOldTrash,
  type TrashRow,
} from '../db/trash.ts';
import type { RepositoryName } from '../oci/name.ts';
import { deleteRepository } from './delete-repository.ts';

/** What was deleted for good. */
export interface EmptiedTrash {
  repositories: number;
  manifests: number;
  tags: number;
}

/** Entries of one query, and tags of one transaction. */
const batch = 100;

/**
 * Deletes for good what was deleted before `before` (milliseconds since 1970). A manifest or a repository is one transaction. May be
 * stopped anywhere, and run several times at once, also beside restorations.
 *
 * @param name a repository or a namespace; absent: everything
 * @throws the signal's reason
 */
export async function emptyTrash(
  database: Database,
  { before, name }: { readonly before: number; readonly name?: RepositoryName | undefined },
  signal?: AbortSignal,
): Promise<EmptiedTrash> {
  const emptied = { repositories: 0, manifests: 0, tags: 0 };
  const each = async (empty: (rows: readonly TrashRow[]) => Promise<void>): Promise<void> => {
    for (let last: TrashRow | undefined; ; ) {
      const rows = await listOldTrash(database.read, name, before, last, batch);
      await empty(rows);
      last = rows.at(-1);
      if (rows.length < batch) return;
    }
  };
  await each(async (rows) => {
    for (const row of rows) {
      signal?.throwIfAborted();
      if (row.kind === 'tag') continue;
      const { manifests, tags, repositories } = await database.transaction((db) =>
        row.kind === 'manifest'
          ? emptyManifest(db, row, before, database.clock())
          : emptyRepository(db, row, database.clock()),
      );
      emptied.repositories += repositories;
      emptied.manifests += manifests;
      emptied.tags += tags;
    }
  });
  // Later, because a manifest is deleted together with its tags.
  await each(async (rows) => {
    signal?.throwIfAborted();
    const ids = rows.filter(({ kind }) => kind === 'tag').map(({ id }) => id);
    if (ids.length > 0) emptied.tags += await database.transaction((db) => deleteTrash(db, ids));
  });
  return emptied;
}

const nothing: Readonly<EmptiedTrash> = { repositories: 0, manifests: 0, tags: 0 };

/** Deletes the manifest, and the entries of the tags deleted with it, unless it was restored or deleted again meanwhile. */
async function emptyManifest(db: Db, row: TrashRow, before: number, now: number): Promise<EmptiedTrash> {
  const { repository_id: repository, digest } = row;
  if (digest === null) return nothing;
  const hidden = await findHidden(db, repository);
  const found = hidden === undefined ? undefined : await findManifestIn(db, hidden, digest);
  if (hidden !== undefined && found !== undefined) {
    await lockReferenced(db, await listReferenced(db, found));
    await lockManifest(db, hidden, digest);
  }
  if (!(await deleteTrashedManifest(db, repository, digest, before))) return nothing;
  const tags = await deleteTrashedTags(db, repository, digest, before);
  const id = hidden === undefined ? undefined : await findManifestIn(db, hidden, digest);
  if (id !== undefined) await deleteManifest(db, id, now);
  return { ...nothing, manifests: 1, tags };
}

/** Deletes the repository, unless it was restored meanwhile, even if it was deleted again since. */
async function emptyRepository(
  db: Db,
  { id: entry, repository_id: id }: TrashRow,
  now: number,
): Promise<EmptiedTrash> {
  await lockRepository(db, id);
  if ((await deleteTrash(db, [entry])) === 0 || !(await isHidden(db, id))) return nothing;
  return { ...nothing, repositories: Number(await deleteRepository(db, id, now)) };
}
