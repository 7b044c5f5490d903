// The registry that a command is about.
import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../config/schema.ts';
import { type Database, EmptyDatabase, SchemaMismatch } from '../db/database.ts';
import type { Inspection } from '../db/inspection.ts';
import { databaseExists } from '../open.ts';
import { Failure } from './failure.ts';

type Place = Pick<Config, 'database' | 'data'>;

/** To look at it and change nothing. @throws Failure | SchemaMismatch | UnfitDatabase */
export async function inspectExisting(config: Place): Promise<Inspection> {
  if (!databaseExists(config)) throw new Failure(`there is no database in ${config.data}`);
  // Here, not above: the other commands need none of it.
  const { inspectDatabase } = await import('../open.ts');
  return inspectDatabase(config);
}

/**
 * To change it, perhaps beside those who serve it; so never its schema, which may be another version's.
 *
 * @throws Failure | SchemaMismatch | UnfitDatabase
 */
export async function openExisting(config: Place): Promise<Database> {
  await (await inspectExisting(config)).close();
  const { openDatabase } = await import('../open.ts');
  return openDatabase(config);
}

/**
 * To change who may do what, perhaps beside those who serve it, and perhaps before anybody has: a registry that is not there yet
 * is made, as the first start makes it. Takes no write while the registry is read-only.
 *
 * @throws SchemaMismatch | UnfitDatabase | UnfinishedCopy | ForeignRegistry
 */
export async function openForAdministration(config: Place & Pick<Config, 'storage'>): Promise<Database> {
  const { openDatabase, openStore } = await import('../open.ts');
  const { refuseUnfinishedCopy } = await import('../db/properties.ts');
  const { refuseWhenReadOnly } = await import('../db/read-only.ts');
  if (databaseExists(config)) {
    await refuseOtherSchema(config);
  } else if (config.storage.type === 'filesystem') {
    // Its folders come first, and it says when they are another registry's.
    await (await openStore(config)).close();
  }
  const database = await openDatabase(config, { checkpoints: false });
  try {
    await refuseUnfinishedCopy(database.read);
    return refuseWhenReadOnly(database);
  } catch (error) {
    await database.close();
    throw error;
  }
}

/** Milliseconds in which a first start elsewhere has made its schema, step by step. */
const madeWithin = 2_000;

/** Lets this version's schema pass, and none at all, which opening makes. */
async function refuseOtherSchema(config: Place): Promise<void> {
  for (const began = performance.now(); ; await delay(50)) {
    try {
      return await (await inspectExisting(config)).close();
    } catch (error) {
      if (error instanceof EmptyDatabase) return;
      if (!(error instanceof SchemaMismatch) || performance.now() - began > madeWithin) throw error;
    }
  }
}

/** Where a database is, for people; without the password. */
export function placeOf({ database: { url }, data }: Place): string {
  if (url === undefined) return data;
  const { host, pathname } = new URL(url.replace('@/', '@socket/'));
  return `${pathname.slice(1)} at ${host}`;
}
