// The registry that a command is about.
import { setTimeout as delay } from 'node:timers/promises';
import type { Loaded } from '../config/load.ts';
import { registryPlace } from '../config/places.ts';
import type { Config } from '../config/schema.ts';
import { type Database, EmptyDatabase, SchemaMismatch } from '../db/database.ts';
import type { Inspection } from '../db/inspection.ts';
import { Failure } from '../failure.ts';
import { databaseExists, inspectDatabase, openDatabase, openStore, refuseLostDatabase } from '../open.ts';
import type { Context } from './context.ts';

type Place = Pick<Config, 'database' | 'data'>;
type Chosen = Pick<Loaded<Config>, 'config' | 'file'>;

/**
 * Opens the registry of a configuration to look at it and change nothing, and says on standard error which one it is.
 *
 * @throws Failure when there is none | SchemaMismatch | UnfitDatabase
 */
export async function inspectExisting(chosen: Chosen, context: Context): Promise<Inspection> {
  sayWhich(chosen, context);
  const inspection = await inspect(chosen.config);
  if (inspection === undefined) throw new Failure(noRegistry(chosen.config));
  return inspection;
}

/**
 * The same to change it, perhaps beside those who serve it; so never its schema, which may be another version's.
 *
 * @throws Failure when there is none | SchemaMismatch | UnfitDatabase
 */
export async function openExisting(chosen: Chosen, context: Context): Promise<Database> {
  await (await inspectExisting(chosen, context)).close();
  return openDatabase(chosen.config);
}

/**
 * The same to change who may do what. Takes no write while the registry is read-only.
 *
 * @param create makes a registry where there is none, as the first start does; absent where a command does not offer it
 * @throws Failure when there is none | SchemaMismatch | UnfitDatabase | UnfinishedCopy | ForeignRegistry | StoreMismatch
 */
export async function openForAdministration(
  chosen: Chosen,
  context: Context,
  { create }: { create?: boolean } = {},
): Promise<Database> {
  const { config } = chosen;
  sayWhich(chosen, context);
  const inspection = await inspect(config);
  await inspection?.close();
  if (inspection === undefined) {
    if (!create)
      throw new Failure(`${noRegistry(config)}${create === undefined ? '' : ', and so does --create here'}`);
    if (!databaseExists(config)) await prepareStore(config);
  }
  const { refuseUnfinishedCopy } = await import('../db/properties.ts');
  const { refuseWhenReadOnly } = await import('../db/read-only.ts');
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

/** Nothing where there is no registry. */
async function inspect(config: Place): Promise<Inspection | undefined> {
  if (!databaseExists(config)) return undefined;
  for (const began = performance.now(); ; await delay(50)) {
    try {
      return await inspectDatabase(config);
    } catch (error) {
      if (error instanceof EmptyDatabase) return undefined;
      if (!(error instanceof SchemaMismatch) || performance.now() - began > madeWithin) throw error;
    }
  }
}

/** The store's folders come before the database; what is in them already may be another registry's, or lack its database. */
async function prepareStore(config: Config): Promise<void> {
  const store = await openStore(config);
  try {
    await refuseLostDatabase(config, store);
  } finally {
    await store.close();
  }
}

function sayWhich({ config, file }: Chosen, context: Context): void {
  const kind = config.database.url === undefined ? 'SQLite' : 'PostgreSQL';
  const settings = file === undefined ? '' : `, as ${file} says`;
  context.err(`registry: ${registryPlace(config)} (${kind})${settings}\n`);
}

function noRegistry(config: Place): string {
  return `there is no registry in ${registryPlace(config)}: \`berth serve\` makes one, or says what became of it`;
}
