// Checks that a database and a blob store belong together: both have the registry's id, and the epoch shows which is older.
import { randomUUID } from 'node:crypto';
import { type Actor, recordChange } from '../db/changes.ts';
import { type Database, ReadOnlyRegistry } from '../db/database.ts';
import { everyStoredBlob } from '../db/fsck.ts';
import { knowsBlobs } from '../db/parked-blobs.ts';
import type { Db } from '../db/prepare.ts';
import { findOrSetProperty, findProperty, noteProperty, setProperty } from '../db/properties.ts';
import type { Digest } from '../oci/digest.ts';
import { type BlobStore, blobKey, markerKey } from '../storage/blob-store.ts';
import { StoreDisagrees, StoreMismatch } from './store-mismatch.ts';

/** The content of {@link markerKey} in the store. */
export interface Marker {
  /** The registry's id, equal to the database's property. */
  readonly registry: string;
  /** An integer from 1 to {@link largestEpoch}, never above the database's own, which is written first. */
  readonly epoch: number;
}

/** Enough to raise the epoch 1000 times a second for 100,000 years. Numbers in JSON and JavaScript are exact up to here. */
export const largestEpoch = 2 ** 52;

/** The relation of a database and a store. */
export type Relation =
  /** The same registry and the same age. */
  | 'agree'
  /** Both are empty. */
  | 'new'
  /** The store has no marker but holds the database's blobs: the registry is of a version without markers. */
  | 'unmarked'
  | Objection;

/**
 * One of the two is an older copy, or the database was restored from a backup and nobody has compared it with the store since: blobs
 * may be served and pushed, but nothing may be deleted.
 */
export const disagreements = ['database-older', 'store-older', 'marker-lost', 'restored'] as const;
export type Disagreement = (typeof disagreements)[number];

/** The database or the store belongs to another registry. */
export const mismatches = ['database-empty', 'other-registry', 'blobs-missing'] as const;
export type Mismatch = (typeof mismatches)[number];

/** Why nothing may be deleted. */
export type Objection = Disagreement | Mismatch;

/** For messages: where database and store are, without secrets. */
export interface Places {
  readonly database: string;
  readonly store: string;
}

export interface Comparison {
  readonly relation: Relation;
  /** The registry's id in the database; absent before its store is marked. */
  readonly registry: string | undefined;
  /** The database's epoch; 0 before the first. */
  readonly epoch: number;
  readonly marker: Marker | undefined;
  /** The name of the backup from which the database was restored; absent once it is repaired. */
  readonly restored: string | undefined;
}

/** Number of blobs to look for in a store without a marker. Digests are random, so the first ones are representative. */
const sampleSize = 20;

/** Compares a database and a store, and changes neither. @throws StoreMismatch if the marker or the database's epoch is damaged */
export async function compare(db: Db, store: BlobStore): Promise<Comparison> {
  // The marker first: if the epoch is raised meanwhile, the database is ahead, which is normal.
  const marker = await readMarker(store);
  const registry = await findProperty(db, 'registry');
  const epoch = await findEpoch(db);
  const restored = await findProperty(db, 'restored');
  const found = await relate({ registry, epoch, marker }, db, store);
  // A backup that is as old as the last epoch would otherwise agree with a store that has newer blobs.
  const relation = restored === undefined || isMismatch(found) ? found : 'restored';
  return { relation, registry, epoch, marker, restored };
}

async function relate(
  { registry, epoch, marker }: Pick<Comparison, 'registry' | 'epoch' | 'marker'>,
  db: Db,
  store: BlobStore,
): Promise<Relation> {
  if (marker !== undefined && marker.registry === registry) {
    if (marker.epoch > epoch) return 'database-older';
    // One less is normal: a process is raising the epoch, or died, after it wrote the database and before the store.
    return marker.epoch < epoch - 1 ? 'store-older' : 'agree';
  }
  if (!(await knowsBlobs(db))) {
    return marker === undefined && !(await holdsBytes(store)) ? 'new' : 'database-empty';
  }
  if (marker !== undefined && registry !== undefined) return 'other-registry';
  if (!(await holdsSample(db, store))) return 'blobs-missing';
  // The database is a copy from before the first marker.
  if (marker !== undefined) return 'database-older';
  return epoch > 1 ? 'marker-lost' : 'unmarked';
}

/** @throws StoreMismatch if the marker is damaged */
export async function readMarker(store: BlobStore): Promise<Marker | undefined> {
  const text = await store.readMarker();
  if (text === undefined) return undefined;
  const { registry, epoch } = parseObject(text);
  if (typeof registry === 'string' && registry !== '' && isEpoch(epoch)) return { registry, epoch };
  throw damagedMarker('it has no valid registry and epoch');
}

function damagedMarker(why: string): StoreMismatch {
  return new StoreMismatch(
    `${markerKey} in the blob store is damaged (${why}): restore it from a backup, or delete it and run \`berth fsck --repair\``,
  );
}

function isEpoch(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= largestEpoch;
}

/** The database's epoch; 0 before the first. @throws StoreMismatch if it is damaged */
async function findEpoch(db: Db): Promise<number> {
  const text = await findProperty(db, 'epoch');
  return text === undefined ? 0 : parseEpoch(text);
}

function parseEpoch(text: string): number {
  const epoch = Number(text);
  if (isEpoch(epoch)) return epoch;
  throw new StoreMismatch("the database's epoch is damaged: restore the database from a backup");
}

/** The next epoch. @throws StoreMismatch if there is none */
function epochAfter(epoch: number): number {
  if (isEpoch(epoch + 1)) return epoch + 1;
  throw damagedMarker(`no epoch can follow ${epoch}`);
}

function parseObject(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}

function writeMarker(store: BlobStore, { registry, epoch }: Marker): Promise<void> {
  return store.writeMarker(`${JSON.stringify({ registry, epoch })}\n`);
}

/** Whether the store holds a blob, or bytes of an upload. */
export async function holdsBytes(store: BlobStore): Promise<boolean> {
  for await (const _ of store.list()) return true;
  for await (const _ of store.listUploads()) return true;
  return false;
}

/** Whether the store has at least half of the sampled blobs. Some may be damaged, but another registry's store would have none. */
async function holdsSample(db: Db, store: BlobStore): Promise<boolean> {
  let seen = 0;
  let found = 0;
  for await (const { digest, generation, size } of everyStoredBlob(db)) {
    seen += 1;
    if ((await store.stat(blobKey(digest as Digest, generation)))?.size === size) found += 1;
    if (seen === sampleSize) break;
  }
  return found >= seen / 2;
}

/** The message for an objection: the reason and the remedy. */
export function explain(
  { relation, marker, epoch, restored }: Comparison,
  { database, store }: Places,
): string {
  const repair = 'nothing is deleted until `berth fsck --repair` has reconciled the database and the store';
  switch (relation as Objection) {
    case 'database-older':
      return `${database} is an older copy: its epoch is ${epoch}, but ${store} has epoch ${marker?.epoch}; ${repair}`;
    case 'store-older':
      return `${store} is an older copy: its epoch is ${marker?.epoch}, but ${database} has epoch ${epoch}; ${repair}`;
    case 'restored':
      return `${database} was restored from ${restored}; ${repair}`;
    case 'marker-lost':
      return `${store} has lost its ${markerKey}: ${repair}`;
    case 'database-empty':
      return (
        `${database} is empty, but ${store} holds ${marker ? `registry ${marker.registry}` : 'blobs'}. If the database is the wrong ` +
        'one, configure the right one (database.url, --data) or restore it from a backup. If the store is the wrong one, configure ' +
        `another one. To start a new registry in this store, first move its content away${marker ? `, including ${markerKey}` : ''}`
      );
    case 'other-registry':
      return `${database} and ${store} belong to different registries: the store belongs to registry ${marker?.registry}. Configure a database and a store of the same registry (database.url, storage, --data)`;
    case 'blobs-missing':
      return `${database} records blobs that ${store} does not have: configure the store of this database (storage, --data), or restore the blobs from a backup`;
  }
}

/**
 * Checks that database and store belong together and have the same age. Marks the store of a new registry, or of a registry
 * whose version had no markers.
 * @throws StoreMismatch | StoreDisagrees
 */
export async function requireAgreement(
  database: Database,
  store: BlobStore,
  places: Places,
): Promise<{ readonly epoch: number; readonly marker: Marker }> {
  const comparison = await compare(database.read, store);
  const { relation, epoch, marker } = comparison;
  if (relation === 'agree') return { epoch, marker: marker as Marker };
  if (relation === 'new' || relation === 'unmarked') {
    const made = await markStore(database, store);
    return { epoch: made.epoch, marker: made };
  }
  throw new (isMismatch(relation) ? StoreMismatch : StoreDisagrees)(explain(comparison, places));
}

/**
 * The check at startup, before anything is served.
 * @return why nothing may be deleted; `undefined` if database and store agree
 * @throws StoreMismatch
 */
export async function checkStoreAtStart(
  database: Database,
  store: BlobStore,
  places: Places,
): Promise<StoreDisagrees | undefined> {
  try {
    await requireAgreement(database, store, places);
  } catch (error) {
    if (error instanceof StoreDisagrees) return error;
    // A read-only registry gets its marker once it is writable; nothing is deleted before.
    if (!(error instanceof ReadOnlyRegistry)) throw error;
  }
  return undefined;
}

/** The check before a database is created. @throws StoreMismatch if the store is not empty */
export async function requireEmptyStore(store: BlobStore, places: Places): Promise<void> {
  const marker = await readMarker(store);
  if (marker === undefined && !(await holdsBytes(store))) return;
  throw new StoreMismatch(
    explain(
      { relation: 'database-empty', registry: undefined, epoch: 0, marker, restored: undefined },
      places,
    ),
  );
}

export function isObjection(relation: Relation): relation is Objection {
  return ([...disagreements, ...mismatches] as string[]).includes(relation);
}

export function isMismatch(relation: Relation): relation is Mismatch {
  return (mismatches as readonly string[]).includes(relation);
}

/**
 * Writes a marker with the database's registry and epoch into a store that has all its blobs. The database is written first, so
 * that after a crash in between it is ahead of the store and never behind.
 */
export async function markStore(database: Database, store: BlobStore): Promise<Marker> {
  const marker = await database.transaction(async (db) => ({
    registry: await findOrSetProperty(db, 'registry', randomUUID()),
    epoch: parseEpoch(await findOrSetProperty(db, 'epoch', '1')),
  }));
  await writeMarker(store, marker);
  return marker;
}

/**
 * Raises the epoch in both, so that every earlier copy of the database has a lower one. Only one process may run it at a time.
 * @return the new epoch of both
 * @throws StoreDisagrees | StoreMismatch
 */
export async function advanceEpoch(database: Database, store: BlobStore, places: Places): Promise<number> {
  const { epoch, marker } = await requireAgreement(database, store, places);
  // A process that died in between has raised the database's epoch already.
  const next = marker.epoch < epoch ? epoch : epochAfter(epoch);
  await database.transaction((db) => noteProperty(db, 'epoch', `${next}`));
  await writeMarker(store, { registry: marker.registry, epoch: next });
  return next;
}

/**
 * Checks that the database was not replaced by an older copy since it had `epoch`. Runs in each transaction that decides a
 * deletion, and again before the bytes are deleted.
 * @throws StoreDisagrees
 */
export async function requireEpoch(db: Db, epoch: number): Promise<void> {
  const now = await findEpoch(db);
  if (now < epoch)
    throw new StoreDisagrees(`the database was replaced by an older copy (epoch ${now}, was ${epoch})`);
}

/** Writes the same new epoch to both, which allows deletions again. */
export async function reconcile(
  database: Database,
  store: BlobStore,
  by: Actor,
  { marker, relation }: Comparison,
): Promise<number> {
  const { registry, epoch } = await database.transaction(async (db) => {
    const registry = await findOrSetProperty(db, 'registry', marker?.registry ?? randomUUID());
    const epoch = epochAfter(Math.max(await findEpoch(db), marker?.epoch ?? 0));
    await noteProperty(db, 'epoch', `${epoch}`);
    await setProperty(db, 'restored', undefined);
    const detail = { did: 'epoch', relation, epoch };
    await recordChange(db, by, { kind: 'registry.repair', detail }, database.clock());
    return { registry, epoch };
  });
  await writeMarker(store, { registry, epoch });
  return epoch;
}
