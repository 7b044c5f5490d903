import { sql } from 'kysely';
import type { Digest } from '../oci/digest.ts';
import { lockBlobs } from './locks.ts';
import { type Db, type Params, prepare } from './prepare.ts';

const isUnheld = sql<boolean>`not exists (select 1 from repository_blobs as held where held.digest = blobs.digest)`;

/** An unheld blob is due for deletion if its times are earlier than these, in milliseconds since 1970. */
export interface DueBefore {
  /** For `review_at`. */
  readonly reviewed: number;
  /** For `parked_at`, if it is parked. */
  readonly parked: number;
}

const markDeleting = prepare(
  (db, p: Params<DueBefore & { digest: string; generation: number; next: number }>) =>
    db
      .updateTable('blobs')
      .set({ state: 'deleting', generation: p('next'), parked_at: null })
      .where('digest', '=', p('digest'))
      .where('generation', '=', p('generation'))
      .where(isUnheld)
      .where('review_at', '<', p('reviewed'))
      .where((where) => where.or([where('parked_at', 'is', null), where('parked_at', '<', p('parked'))]))
      .returning('digest'),
);

/**
 * Decides to delete the bytes of `generation`, if no repository holds the blob and it is due. From then on new bytes get the key of
 * the next generation. False when the blob is held or no longer due.
 */
export async function decideDeletion(
  db: Db,
  digest: Digest,
  generation: number,
  due: DueBefore,
): Promise<boolean> {
  await lockBlobs(db, [digest]);
  return (await markDeleting(db, { digest, generation, next: generation + 1, ...due })).length > 0;
}

const markDeleted = prepare((db, p: Params<{ digest: string; generation: number }>) =>
  db
    .updateTable('blobs')
    .set({ state: 'deleted' })
    .where('digest', '=', p('digest'))
    .where('generation', '=', p('generation'))
    .where('state', '=', 'deleting'),
);

/** Records that the bytes of all generations before `generation` are deleted. The row stays, so that no generation is used twice. */
export async function recordDeleted(db: Db, digest: Digest, generation: number): Promise<void> {
  await markDeleted(db, { digest, generation });
}

interface DueBlob {
  readonly digest: Digest;
  readonly generation: number;
}

const selectUnheld = prepare((db, p: Params<DueBefore & { after: string; limit: number }>) =>
  db
    .selectFrom('blobs')
    .select(['digest', 'generation'])
    .where('state', '=', 'stored')
    .where('review_at', '<', p('reviewed'))
    .where((where) => where.or([where('parked_at', 'is', null), where('parked_at', '<', p('parked'))]))
    .where('digest', '>', p('after'))
    .where(isUnheld)
    .orderBy('digest')
    .limit(p('limit')),
);

/** Stored blobs that no repository holds and that are due for deletion. */
export function listUnheldBlobs(db: Db, due: DueBefore, after: string, limit: number): Promise<DueBlob[]> {
  return selectUnheld(db, { ...due, after, limit }) as Promise<DueBlob[]>;
}

const selectDeleting = prepare((db, p: Params<{ after: string; limit: number }>) =>
  db
    .selectFrom('blobs')
    .select(['digest', 'generation'])
    .where('state', '=', 'deleting')
    .where('digest', '>', p('after'))
    .orderBy('digest')
    .limit(p('limit')),
);

/** Decided deletions that are not completed; `generation` is the one for new bytes. */
export function listDeletions(db: Db, after: string, limit: number): Promise<DueBlob[]> {
  return selectDeleting(db, { after, limit }) as Promise<DueBlob[]>;
}
