// The registry that a command is about, which has to be there already: none of these commands makes one.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config/schema.ts';
import type { Database } from '../db/database.ts';
import type { Inspection } from '../db/inspection.ts';
import { Failure } from './failure.ts';

type Place = Pick<Config, 'database' | 'data'>;

/** To look at it and change nothing. @throws Failure | SchemaMismatch | UnfitDatabase */
export async function inspectExisting(config: Place): Promise<Inspection> {
  if (config.database.url === undefined && !existsSync(join(config.data, 'berth.db'))) {
    throw new Failure(`there is no database in ${config.data}`);
  }
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

/** Where a database is, for people; without the password. */
export function placeOf({ database: { url }, data }: Place): string {
  if (url === undefined) return data;
  const { host, pathname } = new URL(url.replace('@/', '@socket/'));
  return `${pathname.slice(1)} at ${host}`;
}
