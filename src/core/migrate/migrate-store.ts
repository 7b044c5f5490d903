import { type Actor, recordChange } from '../../db/changes.ts';
import type { Database } from '../../db/database.ts';
import { everyStoredBlob } from '../../db/fsck.ts';
import { findProperty } from '../../db/properties.ts';
import { markStore, readMarker } from '../store-identity.ts';
import { CannotMigrate } from './cannot-migrate.ts';
import { type Copied, type CopyParts, copyBlobs } from './copy-blobs.ts';
import { freeze } from './freeze.ts';

export interface MigrateStoreParts extends CopyParts {
  readonly database: Database;
  readonly by: Actor;
  /** Called when a pass begins, over the blobs reviewed since `since` (0: all). */
  readonly begin: (since: number) => Promise<void>;
}

/** Maximum milliseconds between a row's time and its commit, with a margin for changed clocks. */
const margin = 10 * 60_000;
/** A pass that takes no longer than this, in milliseconds, can be repeated while the registry is read-only. */
const shortPass = 10_000;
const maxPasses = 5;

/**
 * Copies the blobs to another store while the registry runs. With `finish`, the registry then becomes read-only, the remaining
 * blobs are copied, and the target gets the registry's marker.
 * @throws CannotMigrate
 */
export async function migrateStore(
  parts: MigrateStoreParts,
  finish: { readonly reason: string } | undefined,
): Promise<Copied> {
  await refuseForeignStore(parts);
  const { database, by } = parts;
  const record = (kind: string): Promise<void> => {
    const change = { kind, detail: { part: 'store', finish: finish !== undefined } };
    return database.transaction((db) => recordChange(db, by, change, database.clock()));
  };
  await record('migration.begin');
  const total: Copied = { blobs: 0, copied: 0, bytes: 0, problems: 0 };
  /** The target has all blobs that were reviewed before this time. */
  let since = 0;
  const pass = async (): Promise<number> => {
    const { clock } = database;
    const begun = clock();
    await parts.begin(since);
    const copied = await copyBlobs(parts, everyStoredBlob(database.read, since));
    // Later passes see only some blobs, which the first pass has counted.
    if (since === 0) total.blobs = copied.blobs;
    total.copied += copied.copied;
    total.bytes += copied.bytes;
    if (copied.problems > 0) throw blobsLeft(copied.problems);
    since = begun - margin;
    return clock() - begun;
  };
  let took = await pass();
  if (finish === undefined) {
    await record('migration.end');
    return total;
  }
  for (let passes = 1; took > shortPass && passes < maxPasses; passes++) took = await pass();
  await freeze(database, by, finish.reason, async () => {
    await pass();
    await markStore(database, parts.target);
    await record('migration.end');
  });
  return total;
}

async function refuseForeignStore({ database, target }: MigrateStoreParts): Promise<void> {
  const marker = await readMarker(target);
  if (marker === undefined || marker.registry === (await findProperty(database.read, 'registry'))) return;
  throw new CannotMigrate(`the target store belongs to registry ${marker.registry}; use an empty one`);
}

function blobsLeft(count: number): CannotMigrate {
  return new CannotMigrate(
    `${count === 1 ? 'a blob' : `${count} blobs`} could not be copied, see above; all others were copied. ` +
      'Repair the damage (`berth fsck` lists the affected images), then run this command again',
  );
}
