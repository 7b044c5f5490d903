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
import { openPlace, sealPlace } from './sealed-place.ts';

export interface RepositoryPage {
  readonly names: readonly RepositoryName[];
  /** `last` for the next page, if more may follow: a name of this page, or a sealed position. */
  readonly next: string | undefined;
}

/**
 * A page ends, with however few names, after looking at this many hidden repositories, or after this many milliseconds. A caller
 * that may see few of a million repositories, or has many patterns, reads more pages.
 */
const [maxHidden, maxWork] = [5_000, 40];

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
  for (let place = await openPlace(read, last); ; await work.pause(signal)) {
    const limit = hidden === 0 ? Math.min(Math.max(n + 1 - names.length, minRows), maxRows) : maxRows;
    const { rows, next } = await work.wait(readOn(sources, place, limit));
    for (const { name, visibility, shown } of rows) {
      const isVisible = shown && visible.matches(name, visibility);
      if (isVisible && names.length === n) return { names, next: names.at(-1) };
      if (isVisible) names.push(name);
      else hidden++;
      if (hidden > maxHidden || (names.length + hidden > minRows && work.spent > maxWork)) {
        return { names, next: isVisible ? name : await sealPlace(read, name) };
      }
      if (work.turnIsOver) await work.pause(signal);
    }
    if (next === undefined) return { names, next: undefined };
    place = next;
  }
}

/** Names after a given one in byte order, at most `limit`; fewer means that there are no more. */
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

/** In byte order, without ranges that lie in others. */
function distinct(ranges: readonly NameRange[]): NameRange[] {
  const kept: NameRange[] = [];
  for (const range of ranges.toSorted(byPrefix)) {
    const before = kept.at(-1);
    if (before === undefined || !liesIn(range, before)) kept.push(range);
  }
  return kept;
}

/** A range sorts before those that it contains. */
function byPrefix(a: NameRange, b: NameRange): number {
  if (a.prefix === b.prefix) return Number(a.exact) - Number(b.exact);
  return a.prefix < b.prefix ? -1 : 1;
}

/** Joins ranges that follow each other into one source. */
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

/** Minimum rows of one read, since some may be hidden, and maximum: some milliseconds on SQLite. */
const [minRows, maxRows] = [100, 1_000];

/** The names of all sources after a given one, up to where all were read: `next`, unless there are no more. */
async function readOn(
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
