import type { Database } from '../db/database.ts';
import type { Db } from '../db/prepare.ts';
import { listRepositoryNames } from '../db/repositories.ts';
import {
  type ListedRepository,
  liesIn,
  listInRange,
  listNamed,
  type NameRange,
  type Visible,
} from '../db/repository-ranges.ts';
import type { Visibility } from '../db/schema.ts';
import type { RepositoryName } from '../oci/name.ts';
import { type Page, type PageRequest, takePage } from './page.ts';

/**
 * A page of the names of the repositories that hold something and are visible, in byte order. It is full unless it is the last
 * one, and costs as much whatever lies between them: neither tells what else there is.
 */
export function listRepositoryPage(
  { read }: Database,
  request: PageRequest,
  visible: Visible,
): Promise<Page<string>> {
  return takePage(request, (after, limit) =>
    visible.all
      ? listRepositoryNames(read, after, limit)
      : listVisible(sourcesOf(read, visible.ranges), visible.matches, after, limit),
  );
}

/** Names after one in byte order, at most as many as asked for; fewer are all that follow. */
type Source = (after: string, limit: number) => Promise<readonly ListedRepository[]>;

function sourcesOf(read: Db, ranges: readonly NameRange[]): Source[] {
  const names = ranges.filter(({ exact, publicOnly }) => exact && !publicOnly).map(({ prefix }) => prefix);
  const whole = distinct(ranges.filter(({ exact, publicOnly }) => !exact && !publicOnly));
  const publicOnes = distinct(ranges.filter(({ publicOnly }) => publicOnly));
  return [
    ...(names.length > 0 ? [(after: string, limit: number) => listNamed(read, names, after, limit)] : []),
    ...[whole, publicOnes].filter(({ length }) => length > 0).map((some) => inTurn(read, some)),
  ];
}

/** In byte order, and none in another. */
function distinct(ranges: readonly NameRange[]): NameRange[] {
  const kept: NameRange[] = [];
  for (const range of ranges.toSorted(byPrefix)) {
    const before = kept.at(-1);
    if (before === undefined || !liesIn(range, before)) kept.push(range);
  }
  return kept;
}

/** What holds others comes before them. */
function byPrefix(a: NameRange, b: NameRange): number {
  if (a.prefix === b.prefix) return Number(a.exact) - Number(b.exact);
  return a.prefix < b.prefix ? -1 : 1;
}

/** Ranges that follow each other are one source. */
function inTurn(read: Db, ranges: readonly NameRange[]): Source {
  return async (after, limit) => {
    const rows: ListedRepository[] = [];
    for (const range of ranges) {
      if (rows.length === limit) break;
      if (!isPast(range, after)) rows.push(...(await listInRange(read, range, after, limit - rows.length)));
    }
    return rows;
  };
}

function isPast({ prefix }: NameRange, after: string): boolean {
  return after > prefix && !after.startsWith(prefix);
}

/** At least this many rows are read at once, since some of them may not be visible, and at most. */
const [minRows, maxRows] = [100, 1_000];

async function listVisible(
  sources: readonly Source[],
  matches: (name: RepositoryName, visibility: Visibility) => boolean,
  after: string,
  limit: number,
): Promise<string[]> {
  const visible: string[] = [];
  const rows = Math.min(Math.max(limit, minRows), maxRows);
  for (let from: string | undefined = after; from !== undefined && visible.length < limit; ) {
    const read = await readOn(sources, from, rows);
    for (const [name, visibility] of read.names) if (matches(name, visibility)) visible.push(name);
    from = read.next;
  }
  return visible.slice(0, limit);
}

/** What the sources have after a name, as far as all of them were read; `next` is where, until there is no more. */
async function readOn(
  sources: readonly Source[],
  after: string,
  limit: number,
): Promise<{ names: [RepositoryName, Visibility][]; next: string | undefined }> {
  const found = new Map<RepositoryName, Visibility>();
  let next: string | undefined;
  for (const source of sources) {
    const rows = await source(after, limit);
    for (const { name, visibility } of rows) found.set(name, visibility);
    const last = rows.length === limit ? rows.at(-1)?.name : undefined;
    if (last !== undefined && (next === undefined || last < next)) next = last;
  }
  const names = [...found].filter(([name]) => next === undefined || name <= next);
  return { names: names.sort(([a], [b]) => (a < b ? -1 : 1)), next };
}
