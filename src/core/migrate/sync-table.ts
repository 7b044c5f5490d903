import { queriesOf, type TableQueries } from '../../db/copy/queries.ts';
import type { Row, Table } from '../../db/copy/tables.ts';
import type { Database } from '../../db/database.ts';
import { findManifestBytes } from '../../db/manifest-bytes.ts';
import { asDigest, digestAlgorithm } from '../../oci/digest.ts';
import { digestBytes } from '../running-hash.ts';
import { compareKeys, Pages } from './pages.ts';

export interface SyncParts {
  readonly source: Database;
  readonly target: Database;
  readonly signal: AbortSignal;
  /** Reports compared rows from time to time. */
  readonly compared: (rows: number) => void;
  /** Reports a row that cannot be copied. */
  readonly problem: (text: string) => void;
}

/** The differences that a pass found and, as far as possible, copied. */
export interface Differences {
  inserted: number;
  updated: number;
  deleted: number;
  /** Rows not inserted or updated because the rows they refer to were created during the pass; the next pass copies them. */
  left: number;
  /** Manifests whose bytes do not match their digest; they are not copied. */
  broken: number;
}

/** Rows of one kind of difference. */
interface Batch {
  readonly inserts: Row[];
  readonly updates: Row[];
  readonly deletes: Row[];
}

const batchSize = 2_000;
/** Bytes of manifests in one batch, plus at most one manifest. */
const batchBytes = 4 << 20;

/**
 * Makes a table of the target equal to the source's, in one pass over both in the order of their keys. While clients write to the
 * source, the pass does not read one snapshot of it. A pass over a source without writes leaves no difference.
 */
export async function syncTable(table: Table, parts: SyncParts): Promise<Differences & { rows: number }> {
  const queries = queriesOf(table);
  const from = new Pages(parts.source.read, queries);
  const to = new Pages(parts.target.read, queries);
  const total = { inserted: 0, updated: 0, deleted: 0, left: 0, broken: 0, rows: 0 };
  let batch: Batch = { inserts: [], updates: [], deletes: [] };
  const apply = async (): Promise<void> => {
    const applied = batch;
    batch = { inserts: [], updates: [], deletes: [] };
    await applyBatch(table, queries, applied, parts, total);
  };
  for (let compared = 0; ; compared++) {
    if (from.current === undefined) await from.fill();
    if (to.current === undefined) await to.fill();
    const row = from.current;
    const copy = to.current;
    if (row === undefined && copy === undefined) break;
    const order = row && copy ? compareKeys(table, row, copy) : row ? -1 : 1;
    if (order <= 0) {
      total.rows += 1;
      from.take();
    }
    if (order >= 0) to.take();
    if (order < 0) batch.inserts.push(row as Row);
    else if (order > 0) batch.deletes.push(copy as Row);
    else if (differ(row as Row, copy as Row)) {
      // Rows with the same key but different fixed columns are different rows.
      if (table.fixed === undefined) batch.updates.push(row as Row);
      else {
        batch.deletes.push(copy as Row);
        batch.inserts.push(row as Row);
      }
    }
    if (batch.inserts.length + batch.updates.length + batch.deletes.length >= batchSize) await apply();
    if (compared % 1_000 === 999) {
      parts.compared(1_000);
      parts.signal.throwIfAborted();
    }
  }
  await apply();
  return total;
}

function differ(a: Row, b: Row): boolean {
  for (const column in a) if (a[column] !== b[column]) return true;
  return false;
}

async function applyBatch(
  table: Table,
  queries: TableQueries,
  { inserts, updates, deletes }: Batch,
  parts: SyncParts,
  total: Differences,
): Promise<void> {
  const { target } = parts;
  let updated = 0;
  if (updates.length + deletes.length > 0) {
    await target.transaction(async (db) => {
      if (deletes.length > 0) await queries.delete(db, deletes);
      if (updates.length > 0) updated = await queries.update(db, updates);
    });
  }
  const insert = async (rows: readonly Row[]): Promise<void> => {
    const inserted = await target.transaction((db) => queries.insert(db, rows));
    total.inserted += inserted;
    total.left += rows.length - inserted;
  };
  if (table.fixed !== undefined) total.broken += await insertManifests(inserts, parts, insert);
  else if (inserts.length > 0) await insert(inserts);
  total.updated += updated;
  total.left += updates.length - updated;
  total.deleted += deletes.length;
}

/** Inserts manifests, a few megabytes at a time, if their bytes match their digest. Returns the number of those that do not. */
async function insertManifests(
  rows: readonly Row[],
  { source, signal, problem }: SyncParts,
  insert: (rows: readonly Row[]) => Promise<void>,
): Promise<number> {
  let broken = 0;
  for (const some of bySize(rows)) {
    signal.throwIfAborted();
    const bytes = await findManifestBytes(
      source.read,
      some.map((row) => row.id as number),
    );
    const complete: Row[] = [];
    for (const row of some) {
      const found = bytes.get(row.id as number);
      // Deleted since its page was read.
      if (found === undefined) continue;
      const digest = asDigest(row.digest as string);
      if (digest === undefined || digestBytes(digestAlgorithm(digest), found) !== digest) {
        broken += 1;
        problem(`manifest ${row.digest} (row ${row.id}) does not match its digest`);
      } else {
        const hex = Buffer.from(found.buffer, found.byteOffset, found.byteLength).toString('hex');
        complete.push({ ...row, bytes: `\\x${hex}` });
      }
    }
    if (complete.length > 0) await insert(complete);
  }
  return broken;
}

/** Slices of manifests with a few megabytes of bytes each, or with one manifest. */
export function* bySize(rows: readonly Row[]): Generator<Row[]> {
  let some: Row[] = [];
  let bytes = 0;
  for (const row of rows) {
    some.push(row);
    bytes += row.size as number;
    if (bytes < batchBytes) continue;
    yield some;
    some = [];
    bytes = 0;
  }
  if (some.length > 0) yield some;
}
