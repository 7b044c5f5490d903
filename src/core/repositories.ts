import type { Database } from '../db/database.ts';
import { Work } from '../db/in-turns.ts';
import { nextTurn } from '../db/next-turn.ts';
import type { Db } from '../db/prepare.ts';
import {
  type ListedRepository,
  liesIn,
  listInRange,
  listNamed,
  type NameRange,
  type Visible,
} from '../db/repository-ranges.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { PageRequest } from './page.ts';
import { sealPosition, unsealPosition } from './sealed-position.ts';

export interface RepositoryPage {
  readonly names: readonly RepositoryName[];
  /** `last` for the next page, if more may follow: a name of this page, or a sealed position. */
  readonly next: string | undefined;
}

/**
 * Limits of the work for one page: hidden repositories, and milliseconds. At a limit the page ends, even with few names or none.
 * So a caller that may see few of a million repositories, or has many patterns, reads more pages.
 */
const [maxHidden, maxWork] = [5_000, 35];

/**
 * A page of the names of non-empty visible repositories, in byte order. Neither the page nor its link to the next one reveals
 * hidden repositories.
 * @param signal aborted when the client is gone
 */
export async function listRepositoryPage(
  { read }: Database,
  { last, n }: PageRequest,
  visible: Visible,
  signal?: AbortSignal,
): Promise<RepositoryPage> {
  const names: RepositoryName[] = [];
  if (n === 0) return { names, next: undefined };
  await nextTurn(signal);
  const sources = sourcesOf(read, visible.ranges);
  const work = new Work();
  let hidden = 0;
  for (let position = await unsealPosition(read, last); ; await work.pause(signal)) {
    const limit = hidden === 0 ? Math.min(Math.max(n + 1 - names.length, minRows), maxRows) : maxRows;
    const { rows, next } = await work.wait(readAll(sources, position, limit));
    for (const { name, visibility, shown } of rows) {
      const isVisible = shown && visible.matches(name, visibility);
      if (isVisible && names.length === n) return { names, next: names.at(-1) };
      if (isVisible) names.push(name);
      else hidden++;
      if (hidden > maxHidden || (names.length + hidden > minRows && work.spent > maxWork)) {
        return { names, next: isVisible ? name : await sealPosition(read, name) };
      }
      if (work.turnIsOver) await work.pause(signal);
    }
    if (next === undefined) return { names, next: undefined };
    position = next;
  }
}

/** Returns at most `limit` names after `after`, in byte order; fewer than `limit` if no more follow. */
type Source = (after: string, limit: number) => Promise<readonly ListedRepository[]>;

function sourcesOf(read: Db, ranges: readonly NameRange[]): Source[] {
  const names = ranges.filter(({ exact, publicOnly }) => exact && !publicOnly).map(({ prefix }) => prefix);
  const fullRanges = distinct(ranges.filter(({ exact, publicOnly }) => !exact && !publicOnly));
  const publicRanges = distinct(ranges.filter(({ publicOnly }) => publicOnly));
  return [
    ...(names.length > 0 ? [(after: string, limit: number) => listNamed(read, names, after, limit)] : []),
    ...[fullRanges, publicRanges].filter(({ length }) => length > 0).map((some) => concatenate(read, some)),
  ];
}

/** The ranges in byte order, without those that another range contains. */
function distinct(ranges: readonly NameRange[]): NameRange[] {
  const kept: NameRange[] = [];
  for (const range of ranges.toSorted(byPrefix)) {
    const before = kept.at(-1);
    if (before === undefined || !liesIn(range, before)) kept.push(range);
  }
  return kept;
}

/** Compares ranges so that a range comes before those that it contains. */
function byPrefix(a: NameRange, b: NameRange): number {
  if (a.prefix === b.prefix) return Number(a.exact) - Number(b.exact);
  return a.prefix < b.prefix ? -1 : 1;
}

/** One source of the names of all these ranges, which are sorted and distinct. */
function concatenate(read: Db, ranges: readonly NameRange[]): Source {
  return async (after, limit) => {
    const rows: ListedRepository[] = [];
    for (const range of ranges) {
      if (rows.length === limit) break;
      if (!isPast(range, after)) rows.push(...(await listInRange(read, range, after, limit - rows.length)));
    }
    return rows;
  };
}

/** Whether all names of the range come before `after`. */
function isPast({ prefix }: NameRange, after: string): boolean {
  return after > prefix && !after.startsWith(prefix);
}

/** Rows of one read: at least `minRows`, because some may be hidden, and at most `maxRows`, some milliseconds on SQLite. */
const [minRows, maxRows] = [100, 1_000];

/** Merges the names of all sources after `after`. `next` is the last name up to which every source was read; absent at the end. */
async function readAll(
  sources: readonly Source[],
  after: string,
  limit: number,
): Promise<{ rows: ListedRepository[]; next: string | undefined }> {
  const found = new Map<RepositoryName, ListedRepository>();
  let next: string | undefined;
  for (const source of sources) {
    const rows = await source(after, limit);
    for (const row of rows) found.set(row.name, row);
    const last = rows.length === limit ? rows.at(-1)?.name : undefined;
    if (last !== undefined && (next === undefined || last < next)) next = last;
  }
  const rows = [...found.values()].filter(({ name }) => next === undefined || name <= next);
  return { rows: rows.sort((a, b) => (a.name < b.name ? -1 : 1)), next };
}
