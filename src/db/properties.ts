import { UnfinishedCopy } from './database.ts';
import { lockProperties } from './dialect.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';

/** Names of properties of the whole registry. */
export type Property =
  /** The reason why the registry is read-only. */
  | 'read-only'
  /** The registry's id, which moves with it; absent until first needed. */
  | 'registry'
  /** The last measurement of the store: JSON of `Stored` (`jobs/measure.ts`). */
  | 'stored'
  /** Progress and results of the reading of all blobs: JSON of `ScrubState` (`core/scrub-state.ts`). */
  | 'scrub'
  /** Counter that links the database to its blob store (see `core/store-identity.ts`). */
  | 'epoch'
  /** Why garbage collection is paused. */
  | 'gc-paused'
  /** Since when this database records pulls, in milliseconds since 1970; earlier pulls are unknown. */
  | 'pulls-since'
  /** Time of the last test write. */
  | 'probe'
  /** 256-bit key in hex, which encrypts positions in listings (see `core/sealed-position.ts`). */
  | 'page-key'
  /** The id of the registry that `berth migrate-db` is copying into this database, which must not be served. */
  | 'migrating'
  /** The id of the backup that `berth restore` is restoring into this database, which must not be served. */
  | 'restoring'
  /** The name of the backup from which the database was restored, until `berth fsck --repair` has compared it with the store. */
  | 'restored';

const select = prepare((db, p: Params<{ name: string }>) =>
  db.selectFrom('properties').select('value').where('name', '=', p('name')),
);

export async function findProperty(db: Db, name: Property): Promise<string | undefined> {
  return (await first(select(db, { name })))?.value;
}

const upsert = prepare((db, p: Params<{ name: string; value: string }>) =>
  db
    .insertInto('properties')
    .values({ name: p('name'), value: p('value') })
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ value: p('value') })),
);

const remove = prepare((db, p: Params<{ name: string }>) =>
  db.deleteFrom('properties').where('name', '=', p('name')),
);

/**
 * Sets or removes a property, and returns its former value. First waits until every transaction that has read properties has ended;
 * later transactions see the change.
 */
export async function setProperty(
  db: Db,
  name: Property,
  value: string | undefined,
): Promise<string | undefined> {
  await lockProperties(db);
  const before = await findProperty(db, name);
  await (value === undefined ? remove(db, { name }) : upsert(db, { name, value }));
  return before;
}

/** Sets a property that no write depends on. Unlike {@link setProperty}, it does not wait for transactions. */
export async function noteProperty(db: Db, name: Property, value: string): Promise<void> {
  await upsert(db, { name, value });
}

const insertOnce = prepare((db, p: Params<{ name: string; value: string }>) =>
  db
    .insertInto('properties')
    .values({ name: p('name'), value: p('value') })
    .onConflict((conflict) => conflict.column('name').doNothing()),
);

/** Returns the property, setting it to `value` first if it is absent. */
export async function findOrSetProperty(db: Db, name: Property, value: string): Promise<string> {
  await insertOnce(db, { name, value });
  return (await findProperty(db, name)) as string;
}

const unfinishedMigration =
  'the database is an unfinished copy: run `berth migrate-db --finish` with the configuration of the original, and start ' +
  'Berth here when that has succeeded';
const unfinishedRestore =
  'the database is an unfinished restore: run `berth restore` with the same backup again, and start Berth when that has succeeded';

/** @throws UnfinishedCopy */
export async function refuseUnfinishedCopy(db: Db): Promise<void> {
  if ((await findProperty(db, 'migrating')) !== undefined) throw new UnfinishedCopy(unfinishedMigration);
  if ((await findProperty(db, 'restoring')) !== undefined) throw new UnfinishedCopy(unfinishedRestore);
}
