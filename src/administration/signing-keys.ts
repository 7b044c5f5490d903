import { makeSigningKey } from '../access/tokens/signing-keys.ts';
import type { Db } from '../db/prepare.ts';
import {
  deleteSigningKeysBut,
  deleteSigningKeysRetiredBefore,
  insertSigningKey,
  lockSigningKeys,
  retireSigningKeysBut,
} from '../db/signing-keys.ts';
import { longestTrust } from '../db/trusts.ts';
import { type ActingDatabase, type Recorder, recording } from './change.ts';

/** Lifetimes of signed tokens, in milliseconds. */
export interface TokenLifetimes {
  readonly tokenLifetime: number;
  readonly refreshLifetime: number;
}

/** Milliseconds that allow for differing clocks, and for processes that learn late of a retired key. */
const margin = 60_000;

/**
 * Rotates to a new key. Old keys verify until the last token that they signed has ended; `revoke` removes them at once, and so
 * ends all tokens.
 * @returns the new key's id, and those of the removed keys
 */
export async function rotateSigningKeys(
  database: ActingDatabase,
  { revoke, ...lifetimes }: TokenLifetimes & { readonly revoke: boolean },
): Promise<{ id: string; removed: string[] }> {
  const made = await makeSigningKey();
  const now = database.clock();
  const removed = await recording(database, async (db, record) => {
    await lockSigningKeys(db);
    await insertSigningKey(db, { ...made, now });
    await record('key.rotate', { key: made.id });
    if (revoke) return recordDeleted(record, await deleteSigningKeysBut(db, made.id));
    await retireSigningKeysBut(db, made.id, now);
    return recordDeleted(record, await deleteEnded(db, lifetimes, now));
  });
  return { id: made.id, removed };
}

/** Removes keys whose last token has ended, and gives their ids. */
export async function removeEndedSigningKeys(
  database: ActingDatabase,
  lifetimes: TokenLifetimes,
): Promise<string[]> {
  const now = database.clock();
  return recording(database, async (db, record) =>
    recordDeleted(record, await deleteEnded(db, lifetimes, now)),
  );
}

async function recordDeleted(record: Recorder, keys: string[]): Promise<string[]> {
  for (const key of keys) await record('key.delete', { key });
  return keys;
}

async function deleteEnded(
  db: Db,
  { tokenLifetime, refreshLifetime }: TokenLifetimes,
  now: number,
): Promise<string[]> {
  const longest = Math.max(tokenLifetime, refreshLifetime, await longestTrust(db));
  return deleteSigningKeysRetiredBefore(db, now - longest - margin);
}
