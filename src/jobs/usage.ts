import type { Clock } from '../core/clock.ts';
import type { Database } from '../db/database.ts';
import { sliceSize } from '../db/slices.ts';
import {
  addUsageChanges,
  afterName,
  deleteEmptyUsage,
  hasUsageChanges,
  listNamespaceUsage,
} from '../db/usage.ts';
import { dayOf, deleteDays, isDayRecorded, recordDay, wholeRegistry } from '../db/usage-days.ts';
import { forget } from './forget.ts';
import { findStored } from './measure.ts';

export interface UsageParts {
  readonly database: Database;
  readonly clock: Clock;
  /** Milliseconds for which the usage of a day is kept. */
  readonly keepFor: number;
}

/**
 * Adds the changes of the usage to the rows of repositories and namespaces (on PostgreSQL), and once a day records the usage of all
 * namespaces and of the registry.
 */
export async function addUpUsage(parts: UsageParts, signal: AbortSignal): Promise<void> {
  const { database, clock } = parts;
  const { read } = database;
  while (await hasUsageChanges(read)) {
    signal.throwIfAborted();
    await database.transaction((db) => addUsageChanges(db), { durable: false });
  }
  const day = dayOf(clock());
  if (await isDayRecorded(read, day)) return;
  const stored = await findStored(read);
  // The job `measure` counts it soon after the first start.
  if (stored === undefined) return;
  await database.transaction((db) => deleteEmptyUsage(db), { durable: false });
  const all = { namespace: wholeRegistry, ...stored, tags: 0, repositories: 0 };
  for (let from: string | undefined = ''; from !== undefined; ) {
    signal.throwIfAborted();
    const page = await listNamespaceUsage(read, from, sliceSize);
    for (const { tags, repositories } of page) {
      all.tags += tags;
      all.repositories += repositories;
    }
    await database.transaction((db) => recordDay(db, day, page), { durable: false });
    from = page.length === sliceSize ? afterName(page.at(-1)?.namespace as string) : undefined;
  }
  // Last, because it shows that the others are recorded.
  await database.transaction((db) => recordDay(db, day, [all]), { durable: false });
  await forget(parts, deleteDays, signal);
}
