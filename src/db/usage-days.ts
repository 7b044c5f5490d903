import { deletesBefore } from './delete-before.ts';
import type { Db } from './prepare.ts';
import { sliceSize } from './slices.ts';
import type { NamespaceUsage } from './usage.ts';

/** Stands for the whole registry, in place of a namespace. */
export const wholeRegistry = '*';

/** The usage of a namespace on a day. */
export interface UsageDay extends Omit<NamespaceUsage, 'namespace'> {
  /** Its first millisecond since 1970, in UTC. */
  readonly day: number;
}

const dayLength = 86_400_000;

/** The first millisecond of the day of a time, in UTC. */
export function dayOf(time: number): number {
  return Math.floor(time / dayLength) * dayLength;
}

/** Whether the usage of the day is recorded. The whole registry is recorded last. */
export async function isDayRecorded(db: Db, day: number): Promise<boolean> {
  const rows = await db
    .selectFrom('usage_days')
    .select('day')
    .where('day', '=', day)
    .where('namespace', '=', wholeRegistry)
    .execute();
  return rows.length > 0;
}

/** Records the usage of namespaces on a day, unless it is recorded. At most {@link sliceSize} of them. */
export async function recordDay(db: Db, day: number, usage: readonly NamespaceUsage[]): Promise<void> {
  if (usage.length === 0) return;
  await db
    .insertInto('usage_days')
    .values(usage.map((row) => ({ ...row, day })))
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** Deletes the usage of days before a time, at most `limit`; returns their number. */
export const deleteDays = deletesBefore('usage_days', ['day', 'namespace'], 'day');

/** The newest days of a namespace or of {@link wholeRegistry}, at most `limit`, the newest first. */
export async function listDays(db: Db, namespace: string, limit: number): Promise<UsageDay[]> {
  return db
    .selectFrom('usage_days')
    .select(['day', 'blobs', 'bytes', 'tags', 'repositories'])
    .where('namespace', '=', namespace)
    .orderBy('day', 'desc')
    .limit(limit)
    .execute();
}
