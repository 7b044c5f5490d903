import { sql } from 'kysely';
import type { Digest } from '../oci/digest.ts';
import { inJsonList } from './dialect.ts';
import { lockBlobs } from './locks.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';
import { inSlices } from './slices.ts';

const isUnheld = sql<boolean>`not exists (select 1 from repository_blobs as held where held.digest = blobs.digest)`;

const setUnheld = prepare((db, p: Params<{ digests: string; since: number }>) =>
  db
    .updateTable('blobs')
    .set({ unheld_at: p('since') })
    .where('digest', 'in', inJsonList(db, p('digests')))
    .where('state', '=', 'stored')
    .where('unheld_at', 'is', null)
    .where(isUnheld),
);

/**
 * Queues the deletion of blobs that a repository has released, if no other repository holds them. The blobs must be locked.
 * @param since when the repository last needed them, in milliseconds since 1970
 */
export async function queueUnheld(db: Db, digests: readonly Digest[], since: number): Promise<void> {
  await inSlices(digests, async (slice) => {
    await setUnheld(db, { digests: JSON.stringify(slice), since });
  });
}

/** An unheld blob is due for deletion if its times are earlier than these, in milliseconds since 1970. */
export interface DueBefore {
  /** For `unheld_at` and `review_at`. */
  readonly reviewed: number;
  /** For `parked_at`, if it is parked. */
  readonly parked: number;
}

/** A blob in the queue of {@link queueUnheld}. */
export interface UnheldBlob {
  readonly digest: Digest;
  readonly unheld_at: number;
}

const selectDue = prepare(
  (db, p: Params<{ reviewed: number; since: number; after: string; limit: number }>) =>
    db
      .selectFrom('blobs')
      .select(['digest', 'unheld_at'])
      .where('unheld_at', '<', p('reviewed'))
      .where(sql<boolean>`(unheld_at, digest) > (${p('since')}, ${p('after')})`)
      .orderBy('unheld_at')
      .orderBy('digest')
      .limit(p('limit')),
);

/** The blobs of the queue that may be due, after `after`, those that wait longest first. */
export function listDueBlobs(
  db: Db,
  reviewed: number,
  after: UnheldBlob | undefined,
  limit: number,
): Promise<UnheldBlob[]> {
  const position = { since: after?.unheld_at ?? Number.MIN_SAFE_INTEGER, after: after?.digest ?? '' };
  return selectDue(db, { reviewed, ...position, limit }) as Promise<UnheldBlob[]>;
}

const markDeleting = prepare((db, p: Params<DueBefore & { digests: string }>) =>
  db
    .updateTable('blobs')
    .set({
      state: 'deleting',
      generation: sql<number>`generation + 1`,
      parked_at: null,
      unheld_at: null,
      damaged_at: null,
    })
    .where('digest', 'in', inJsonList(db, p('digests')))
    .where('state', '=', 'stored')
    .where(isUnheld)
    .where('review_at', '<', p('reviewed'))
    .where((where) => where.or([where('parked_at', 'is', null), where('parked_at', '<', p('parked'))]))
    .returning(['digest', 'size']),
);

const requeue = prepare((db, p: Params<{ digests: string; longer: number }>) =>
  db
    .updateTable('blobs')
    .set({
      unheld_at: sql`case when not ${isUnheld} then null when parked_at is null then review_at else parked_at + cast(${p('longer')} as bigint) end`,
    })
    .where('digest', 'in', inJsonList(db, p('digests')))
    .where('unheld_at', 'is not', null),
);

/**
 * Decides to delete the bytes of the blobs that no repository holds and that are due. From then on new bytes of such a digest get the
 * key of the next generation. The others leave the queue if a repository holds them, or wait in it until
 * they are due.
 * @returns the decided blobs, with their sizes in bytes
 */
export async function decideDeletions(
  db: Db,
  digests: readonly Digest[],
  due: DueBefore,
): Promise<{ digest: Digest; size: number }[]> {
  await lockBlobs(db, digests);
  const list = JSON.stringify(digests);
  const decided = await markDeleting(db, { digests: list, ...due });
  // A parked blob is kept for longer.
  const longer = due.reviewed - due.parked;
  if (decided.length < digests.length) await requeue(db, { digests: list, longer });
  return decided as { digest: Digest; size: number }[];
}

const selectTimes = prepare((db, p: Params<{ digests: string }>) =>
  db
    .selectFrom('blobs')
    .select(['digest', 'size', 'review_at', 'parked_at'])
    .where('digest', 'in', inJsonList(db, p('digests')))
    .where('state', '=', 'stored'),
);

/** The sizes in bytes of these blobs, and whether {@link decideDeletions} would decide to delete them if no repository held them. */
export async function findDue(
  db: Db,
  digests: readonly string[],
  due: DueBefore,
): Promise<Map<string, { size: number; isDue: boolean }>> {
  const rows = await selectTimes(db, { digests: JSON.stringify(digests) });
  return new Map(
    rows.map(({ digest, size, review_at: reviewed, parked_at: parked }) => {
      const isDue = reviewed < due.reviewed && (parked === null || parked < due.parked);
      return [digest, { size, isDue }];
    }),
  );
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

/** A decided deletion that is not completed. */
export interface Deletion {
  readonly digest: Digest;
  /** The generation of new bytes; those of the one before are deleted. */
  readonly generation: number;
  /** Bytes. */
  readonly size: number;
}

const selectDeleting = prepare((db, p: Params<{ after: string; limit: number }>) =>
  db
    .selectFrom('blobs')
    .select(['digest', 'generation', 'size'])
    .where('state', '=', 'deleting')
    .where('digest', '>', p('after'))
    .orderBy('digest')
    .limit(p('limit')),
);

/** Decided deletions after `after`, in the order of their digests. */
export function listDeletions(db: Db, after: string, limit: number): Promise<Deletion[]> {
  return selectDeleting(db, { after, limit }) as Promise<Deletion[]>;
}

const countDue = prepare((db, p: Params<{ reviewed: number; limit: number }>) =>
  db
    .selectFrom((due) =>
      due
        .selectFrom('blobs')
        .select('digest')
        .where('unheld_at', '<', p('reviewed'))
        .limit(p('limit'))
        .as('due'),
    )
    .select((select) => select.fn.countAll<number>().as('unheld'))
    .select((select) =>
      select
        .selectFrom((due) =>
          due
            .selectFrom('repository_blobs')
            .select('digest')
            .where('review_at', '<', p('reviewed'))
            .limit(p('limit'))
            .as('reviews'),
        )
        .select((select) => select.fn.countAll<number>().as('reviews'))
        .as('reviews'),
    ),
);

/** Numbers of due blobs in both queues, each counted up to `limit`. */
export async function countDueBlobs(
  db: Db,
  reviewed: number,
  limit: number,
): Promise<{ unheld: number; reviews: number }> {
  const row = await first(countDue(db, { reviewed, limit }));
  return { unheld: Number(row?.unheld ?? 0), reviews: Number(row?.reviews ?? 0) };
}

const setBack = prepare((db, p: Params<{ now: number; implausible: number }>) =>
  db
    .updateTable('blobs')
    .set({ unheld_at: p('now'), review_at: p('now') })
    .where('unheld_at', 'is not', null)
    .where((where) =>
      where.or([where('unheld_at', '>', p('implausible')), where('review_at', '>', p('implausible'))]),
    ),
);

/** Sets times of the queue later than `implausible` to `now`, because they were written while the clock was ahead. */
export async function setBackUnheld(db: Db, now: number, implausible: number): Promise<void> {
  await setBack(db, { now, implausible });
}

const oldest = prepare((db) =>
  db.selectFrom('blobs').select((select) => select.fn.min('unheld_at').as('at')),
);

const countSome = prepare((db, p: Params<{ limit: number }>) =>
  db
    .selectFrom((some) =>
      some
        .selectFrom('blobs')
        .select('digest')
        .where('unheld_at', 'is not', null)
        .limit(p('limit'))
        .as('some'),
    )
    .select((select) => select.fn.countAll<number>().as('count')),
);

/** State of a queue: its length, counted up to a limit, and the oldest time in it, in milliseconds since 1970. */
export interface Queue {
  readonly length: number;
  readonly oldest: number | undefined;
}

/** The queue of {@link queueUnheld}. */
export async function unheldQueue(db: Db, limit: number): Promise<Queue> {
  const counted = await first(countSome(db, { limit }));
  const found = await first(oldest(db, {}));
  return { length: Number(counted?.count ?? 0), oldest: found?.at ?? undefined };
}
