// Opens the registry of a command's configuration.

import { setTimeout as delay } from 'node:timers/promises';
import type { Loaded } from '../config/load.ts';
import { registryPlace } from '../config/places.ts';
import type { Config } from '../config/schema.ts';
import { type Database, EmptyDatabase, SchemaMismatch } from '../db/database.ts';
import type { Inspection } from '../db/inspection.ts';
import { refuseUnfinishedCopy } from '../db/properties.ts';
import { refuseWhenReadOnly } from '../db/read-only.ts';
import { Failure } from '../failure.ts';
import { databaseExists, inspectDatabase, openDatabase, openStore, refuseLostDatabase } from '../open.ts';
import type { Context } from './context.ts';

type Place = Pick<Config, 'database' | 'data'>;
type Chosen = Pick<Loaded<Config>, 'config' | 'file'>;

/**
 * Opens the registry of a configuration for reading, and prints its location on standard error.
 *
 * @throws Failure when there is no registry | SchemaMismatch | UnfitDatabase
 */
export async function inspectExisting(chosen: Chosen, context: Context): Promise<Inspection> {
  printRegistry(chosen, context);
  const inspection = await inspect(chosen.config);
  if (inspection === undefined) throw new Failure(noRegistry(chosen.config));
  return inspection;
}

/**
 * Opens the registry for changes. Does not migrate the schema, which running servers of another version may be using.
 *
 * @throws Failure when there is no registry | SchemaMismatch | UnfitDatabase
 */
export async function openExisting(chosen: Chosen, context: Context): Promise<Database> {
  await (await inspectExisting(chosen, context)).close();
  return openDatabase(chosen.config);
}

/**
 * Opens the registry for changes to accounts, rights and repositories. Refuses writes while it is read-only.
 *
 * @param create creates a missing registry, as the first start does; absent if the command has no --create
 * @throws Failure when there is no registry | SchemaMismatch | UnfitDatabase | UnfinishedCopy | ForeignRegistry | StoreMismatch
 */
export async function openForAdministration(
  chosen: Chosen,
  context: Context,
  { create }: { create?: boolean } = {},
): Promise<Database> {
  const { config } = chosen;
  printRegistry(chosen, context);
  const inspection = await inspect(config);
  await inspection?.close();
  if (inspection === undefined) {
    if (!create)
      throw new Failure(
        `${noRegistry(config)}${create === undefined ? '' : ', or repeat this command with --create'}`,
      );
    if (!databaseExists(config)) await prepareStore(config);
  }
  return refuseWrites(await openDatabase(config, { checkpoints: false }));
}

/** Refuses writes while the registry is read-only. @throws UnfinishedCopy, after closing the database */
async function refuseWrites(database: Database): Promise<Database> {
  try {
    await refuseUnfinishedCopy(database.read);
    return refuseWhenReadOnly(database);
  } catch (error) {
    await database.close();
    throw error;
  }
}

/**
 * Opens the registry that adopts a storage tree, or creates it. Refuses writes while it is read-only. Does not check the store, which
 * is not Berth's yet.
 *
 * @throws SchemaMismatch | UnfitDatabase | UnfinishedCopy
 */
export async function openForAdoption(chosen: Chosen, context: Context): Promise<Database> {
  await (await inspectIfExists(chosen, context))?.close();
  return refuseWrites(await openDatabase(chosen.config));
}

/** {@link inspectExisting}, or `undefined` when there is no registry. */
export function inspectIfExists(chosen: Chosen, context: Context): Promise<Inspection | undefined> {
  printRegistry(chosen, context);
  return inspect(chosen.config);
}

/** Milliseconds to wait for another process that is creating the schema. */
const schemaWait = 2_000;

/** `undefined` when there is no registry. */
async function inspect(config: Place): Promise<Inspection | undefined> {
  if (!databaseExists(config)) return undefined;
  for (const began = performance.now(); ; await delay(50)) {
    try {
      return await inspectDatabase(config);
    } catch (error) {
      if (error instanceof EmptyDatabase) return undefined;
      if (!(error instanceof SchemaMismatch) || performance.now() - began > schemaWait) throw error;
    }
  }
}

/** Creates the store's folders before the database. Refuses folders of another registry, or whose database is missing. */
async function prepareStore(config: Config): Promise<void> {
  const store = await openStore(config);
  try {
    await refuseLostDatabase(config, store);
  } finally {
    await store.close();
  }
}

/** Prints the location of a registry on standard error. */
export function printRegistry({ config, file }: Chosen, context: Context): void {
  const kind = config.database.url === undefined ? 'SQLite' : 'PostgreSQL';
  const settings = file === undefined ? '' : `, from ${file}`;
  context.err(`registry: ${registryPlace(config)} (${kind})${settings}\n`);
}

function noRegistry(config: Place): string {
  return `no registry in ${registryPlace(config)}: check the configuration, or create one with \`berth serve\``;
}
