import { randomUUID } from 'node:crypto';
import { type Actor, recordChange } from '../../db/changes.ts';
import { clearLeftBehind, countRows, isEmpty } from '../../db/copy/counts.ts';
import { tables } from '../../db/copy/tables.ts';
import type { Database } from '../../db/database.ts';
import { analyze, highestId, raiseIds } from '../../db/dialect.ts';
import type { Db } from '../../db/prepare.ts';
import { findOrSetProperty, findProperty, setProperty } from '../../db/properties.ts';
import { readOnlyReason } from '../../db/read-only.ts';
import { CannotMigrate } from './cannot-migrate.ts';
import { freeze } from './freeze.ts';
import { type Differences, type SyncParts, syncTable } from './sync-table.ts';

export interface MigrateDatabaseParts extends SyncParts {
  readonly by: Actor;
  /** Called when the walk over a table begins, with its number of rows. */
  readonly begin: (table: string, rows: number) => void;
}

/** The result for a table. */
export interface TableResult extends Differences {
  readonly table: string;
  /** Rows of the source. */
  readonly rows: number;
}

/** At most this many differences are copied in a moment. */
const few = 2_000;
const maxPasses = 5;

/**
 * Copies the registry's database to the target while the registry runs. With `finish`, the registry becomes read-only, and the
 * target is compared until no row differs and then becomes a registry that can be served.
 * @throws CannotMigrate
 */
export async function migrateDatabase(
  parts: MigrateDatabaseParts,
  finish: { readonly reason: string } | undefined,
): Promise<TableResult[]> {
  const { source, target, by } = parts;
  const id = await claim(source, target);
  const detail = { part: 'database', finish: finish !== undefined };
  await source.transaction((db) => recordChange(db, by, { kind: 'migration.begin', detail }, source.clock()));
  let results = await pass(parts);
  const end = { kind: 'migration.end', detail };
  if (finish === undefined) {
    await source.transaction((db) => recordChange(db, by, end, source.clock()));
    return results;
  }
  for (let passes = 1; differences(results) > few && passes < maxPasses; passes++)
    results = await pass(parts);
  results = await freeze(source, by, finish.reason, () => passUntilEqual(parts));
  // Not undone if its answer is lost: the target may be a registry by then, and two must not accept writes.
  const epoch = await findProperty(source.read, 'epoch');
  await target.transaction(async (db) => {
    await setProperty(db, 'registry', id);
    // Either may go on with the blob store; the other one is then older.
    await setProperty(db, 'epoch', epoch);
    await setProperty(db, 'read-only', undefined);
    await setProperty(db, 'migrating', undefined);
    // The source is read-only, and was copied to its last row: the end is on record in the copy.
    await recordChange(db, by, end, target.clock());
  });
  return results;
}

/** Checks that the target is empty, an unfinished copy of the same registry, or the copy that the registry once came from. */
async function claim(source: Database, target: Database): Promise<string> {
  if ((await findProperty(source.read, 'migrating')) !== undefined) {
    throw new CannotMigrate('the source database is itself an unfinished copy');
  }
  const id = await source.transaction((db) => findOrSetProperty(db, 'registry', randomUUID()));
  const frozen = (await readOnlyReason(source.read)) !== undefined;
  await target.transaction(async (db) => {
    const migrating = await findProperty(db, 'migrating');
    if (migrating !== id) {
      const objection = await whyNotTarget(db, id, frozen, migrating);
      if (objection !== undefined) throw new CannotMigrate(`the target database ${objection}`);
      await setProperty(db, 'migrating', id);
    }
    await clearLeftBehind(db);
  });
  return id;
}

async function whyNotTarget(
  db: Db,
  id: string,
  frozen: boolean,
  migrating: string | undefined,
): Promise<string | undefined> {
  const other = 'use an empty one';
  if (migrating !== undefined) return `is the unfinished copy of another registry; ${other}`;
  const registry = await findProperty(db, 'registry');
  if (registry === undefined && (await isEmpty(db))) return undefined;
  if (registry !== id) return `contains another registry; ${other}`;
  if ((await readOnlyReason(db)) === undefined) {
    return `is this registry's own, or a finished copy of it that takes pushes; ${other}, or make that copy read-only`;
  }
  if (frozen) {
    return (
      'is read-only, as this registry is: Berth cannot tell which of them is in use; ' +
      'run `berth read-only off` with the configuration of that one'
    );
  }
  return undefined;
}

async function pass(parts: MigrateDatabaseParts): Promise<TableResult[]> {
  const { source, target, begin } = parts;
  const results: TableResult[] = [];
  for (const table of tables) {
    begin(table.name, await countRows(source.read, table.name));
    results.push({ table: table.name, ...(await syncTable(table, parts)) });
    if (!table.identity) continue;
    const highest = await highestId(source.read, table.name);
    await target.transaction((db) => raiseIds(db, table.name, highest));
  }
  const broken = results.reduce((sum, result) => sum + result.broken, 0);
  if (broken > 0) {
    throw new CannotMigrate(
      `${broken === 1 ? 'a manifest' : `${broken} manifests`} could not be copied, see above; everything else was. ` +
        'Repair them (`berth fsck` says which images they are) and run this again',
    );
  }
  if (differences(results) > few) await target.transaction((db) => analyze(db));
  return results;
}

/** The source does not change now: after a pass all rows are equal, which the next pass confirms. */
async function passUntilEqual(parts: MigrateDatabaseParts): Promise<TableResult[]> {
  let left = 0;
  for (let passes = 0; passes < maxPasses; passes++) {
    const results = await pass(parts);
    if (differences(results) === 0) return results;
    left = results.reduce((sum, result) => sum + result.left, 0);
  }
  throw new CannotMigrate(
    `${left} rows could not be copied; \`berth fsck\` says what is wrong with them. The registry is unchanged`,
  );
}

function differences(results: readonly TableResult[]): number {
  return results.reduce(
    (sum, { inserted, updated, deleted, left }) => sum + inserted + updated + deleted + left,
    0,
  );
}
