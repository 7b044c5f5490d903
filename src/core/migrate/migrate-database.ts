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
  /** Called before a table is compared, with its number of rows. */
  readonly begin: (table: string, rows: number) => void;
}

/** The result for a table. */
export interface TableResult extends Differences {
  readonly table: string;
  /** Rows of the source. */
  readonly rows: number;
}

/** Maximum number of differences that are copied fast enough while the registry is read-only. */
const fewDifferences = 2_000;
const maxPasses = 5;

/**
 * Copies the registry's database to the target while the registry runs. With `finish`, the registry then becomes read-only,
 * differences are copied until no row differs, and the target becomes a database that can be served.
 * @throws CannotMigrate
 */
export async function migrateDatabase(
  parts: MigrateDatabaseParts,
  finish: { readonly reason: string } | undefined,
): Promise<TableResult[]> {
  const { source, target, by } = parts;
  const id = await prepareTarget(source, target);
  const detail = { part: 'database', finish: finish !== undefined };
  await source.transaction((db) => recordChange(db, by, { kind: 'migration.begin', detail }, source.clock()));
  let results = await pass(parts);
  const end = { kind: 'migration.end', detail };
  if (finish === undefined) {
    await source.transaction((db) => recordChange(db, by, end, source.clock()));
    return results;
  }
  for (let passes = 1; differences(results) > fewDifferences && passes < maxPasses; passes++)
    results = await pass(parts);
  results = await freeze(source, by, finish.reason, () => passUntilEqual(parts));
  // Outside of `freeze`: if the answer to this transaction is lost, the target may accept writes, so the source must stay read-only.
  const epoch = await findProperty(source.read, 'epoch');
  const restored = await findProperty(source.read, 'restored');
  await target.transaction(async (db) => {
    await setProperty(db, 'registry', id);
    // Both now have the same epoch. Either may be served with the blob store, and the other one then counts as older.
    await setProperty(db, 'epoch', epoch);
    await setProperty(db, 'restored', restored);
    await setProperty(db, 'read-only', undefined);
    await setProperty(db, 'migrating', undefined);
    // Recorded only in the target, because the source is read-only.
    await recordChange(db, by, end, target.clock());
  });
  return results;
}

/**
 * Marks the target as an unfinished copy, and returns the registry's id. The target must be empty, an unfinished copy of this
 * registry, or this registry's former database.
 * @throws CannotMigrate
 */
async function prepareTarget(source: Database, target: Database): Promise<string> {
  if ((await findProperty(source.read, 'migrating')) !== undefined) {
    throw new CannotMigrate('the source database is itself an unfinished copy');
  }
  const id = await source.transaction((db) => findOrSetProperty(db, 'registry', randomUUID()));
  const isReadOnly = (await readOnlyReason(source.read)) !== undefined;
  await target.transaction(async (db) => {
    const migrating = await findProperty(db, 'migrating');
    if (migrating !== id) {
      const objection = await whyNotTarget(db, id, isReadOnly, migrating);
      if (objection !== undefined) throw new CannotMigrate(`the target database ${objection}`);
      await setProperty(db, 'migrating', id);
    }
    await clearLeftBehind(db);
  });
  return id;
}

/** @param isReadOnly whether the source is */
async function whyNotTarget(
  db: Db,
  id: string,
  isReadOnly: boolean,
  migrating: string | undefined,
): Promise<string | undefined> {
  const other = 'use an empty one';
  if (migrating !== undefined) return `is the unfinished copy of another registry; ${other}`;
  const registry = await findProperty(db, 'registry');
  if (registry === undefined && (await isEmpty(db))) return undefined;
  if (registry !== id) return `contains another registry; ${other}`;
  if ((await readOnlyReason(db)) === undefined) {
    return `is this registry's own, or a finished copy of it that accepts pushes; ${other}, or make that copy read-only`;
  }
  if (isReadOnly) {
    return (
      'and the source are both read-only: Berth cannot tell which of them is in use; ' +
      'run `berth read-only off` with the configuration of the one in use'
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
      `${broken === 1 ? 'a manifest' : `${broken} manifests`} could not be copied, see above; everything else was copied. ` +
        'Repair the damage (`berth fsck` lists the affected images), then run this command again',
    );
  }
  if (differences(results) > fewDifferences) await target.transaction((db) => analyze(db));
  return results;
}

/** Repeats passes over a source that does not change: one copies the last differences, and the next finds none. */
async function passUntilEqual(parts: MigrateDatabaseParts): Promise<TableResult[]> {
  let left = 0;
  for (let passes = 0; passes < maxPasses; passes++) {
    const results = await pass(parts);
    if (differences(results) === 0) return results;
    left = results.reduce((sum, result) => sum + result.left, 0);
  }
  throw new CannotMigrate(
    `${left} rows could not be copied; \`berth fsck\` reports the damage. The registry is unchanged`,
  );
}

function differences(results: readonly TableResult[]): number {
  return results.reduce(
    (sum, { inserted, updated, deleted, left }) => sum + inserted + updated + deleted + left,
    0,
  );
}
