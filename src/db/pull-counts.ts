import { deletesBefore } from './delete-before.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';

interface Window {
  readonly subject: string;
  readonly start: number;
}

const countOne = prepare((db, p: Params<Window & { limit: number }>) =>
  db
    .insertInto('pull_counts')
    .values({ subject: p('subject'), window_start: p('start'), count: 1 })
    .onConflict((conflict) =>
      conflict
        .columns(['subject', 'window_start'])
        .doUpdateSet((set) => ({ count: set('pull_counts.count', '+', 1) }))
        .where('pull_counts.count', '<', p('limit')),
    )
    .returning('count'),
);

/** Counts a pull of the subject in the window; returns the new count, or `undefined` if the limit was reached before. */
export async function countPull(db: Db, window: Window, limit: number): Promise<number | undefined> {
  const row = await first(countOne(db, { ...window, limit }));
  return row && Number(row.count);
}

const select = prepare((db, p: Params<Window>) =>
  db
    .selectFrom('pull_counts')
    .select('count')
    .where('subject', '=', p('subject'))
    .where('window_start', '=', p('start')),
);

/** The number of the subject's pulls in the window. */
export async function findPullCount(db: Db, window: Window): Promise<number> {
  return Number((await first(select(db, { ...window })))?.count ?? 0);
}

/** Deletes the counts of windows that started before a time, at most `limit`; returns how many. */
export const deletePullCounts = deletesBefore('pull_counts', ['subject', 'window_start'], 'window_start');
