import { UnfinishedCopy } from './database.ts';
import { lockProperties } from './dialect.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';

/** What may be true of a registry as a whole. */
export type Property =
  /** Why no write is taken. */
  | 'read-only'
  /** The registry's own id, which moves with it; absent until it is first needed. */
  | 'registry'
  /** What the store held when it was measured last: JSON of `Stored` (`jobs/measure.ts`). */
  | 'stored'
  /** How often the database and the blob store have been marked as one (see `core/store-identity.ts`). */
  | 'epoch'
  /** When a write was last tried, to know whether one can be made. */
  | 'probe'
  /** 256 bits in hex, for places in lists that say nothing (see `core/sealed-place.ts`). */
  | 'page-key'
  /** Not to be served: `berth migrate-db` fills this database, with the registry of that id. */
  | 'migrating';

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
 * Sets a property, or takes it away. Whatever a transaction that has read properties writes is committed before; those that
 * come later see the change.
 */
export async function setProperty(db: Db, name: Property, value: string | undefined): Promise<void> {
  await lockProperties(db);
  await (value === undefined ? remove(db, { name }) : upsert(db, { name, value }));
}

/** Sets a property that no write depends on: unlike {@link setProperty} it waits for no transaction. */
export async function noteProperty(db: Db, name: Property, value: string): Promise<void> {
  await upsert(db, { name, value });
}

const insertOnce = prepare((db, p: Params<{ name: string; value: string }>) =>
  db
    .insertInto('properties')
    .values({ name: p('name'), value: p('value') })
    .onConflict((conflict) => conflict.column('name').doNothing()),
);

/** The property as it is, or else as it is from now on: whoever comes first says it. */
export async function findOrSetProperty(db: Db, name: Property, value: string): Promise<string> {
  await insertOnce(db, { name, value });
  return (await findProperty(db, name)) as string;
}

/** @throws UnfinishedCopy */
export async function refuseUnfinishedCopy(db: Db): Promise<void> {
  if ((await findProperty(db, 'migrating')) !== undefined) throw new UnfinishedCopy();
}
