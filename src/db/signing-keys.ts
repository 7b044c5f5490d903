import { sql } from 'kysely';
import { isPostgres } from './dialect.ts';
import { type Db, type Params, prepare } from './prepare.ts';

/** A key pair for signing tokens. */
export interface SigningKeyRow {
  readonly id: string;
  /** PKCS #8 in PEM. */
  readonly private_key: string;
  readonly created_at: number;
  readonly retired_at: number | null;
}

const select = prepare((db, _: Params<object>) =>
  db
    .selectFrom('signing_keys')
    .select(['id', 'private_key', 'created_at', 'retired_at'])
    .orderBy('created_at')
    .orderBy('id'),
);

/** Oldest first. */
export function listSigningKeys(db: Db): Promise<SigningKeyRow[]> {
  return select(db, {});
}

/** Locks the keys against changes by other transactions; SQLite has only one writer. */
export async function lockSigningKeys(db: Db): Promise<void> {
  if (isPostgres(db)) await sql`lock table signing_keys in share row exclusive mode`.execute(db);
}

export async function insertSigningKey(
  db: Db,
  { id, privateKey, now }: { readonly id: string; readonly privateKey: string; readonly now: number },
): Promise<void> {
  await db
    .insertInto('signing_keys')
    .values({ id, private_key: privateKey, created_at: now, retired_at: null })
    .execute();
}

/** Retires all keys but `id`. */
export async function retireSigningKeysBut(db: Db, id: string, now: number): Promise<void> {
  await db
    .updateTable('signing_keys')
    .set({ retired_at: now })
    .where('id', '<>', id)
    .where('retired_at', 'is', null)
    .execute();
}

/** Deletes all keys but `id`; returns their ids. */
export async function deleteSigningKeysBut(db: Db, id: string): Promise<string[]> {
  const rows = await db.deleteFrom('signing_keys').where('id', '<>', id).returning('id').execute();
  return rows.map((row) => row.id);
}

/** Deletes the keys retired before `time`; returns their ids. */
export async function deleteSigningKeysRetiredBefore(db: Db, time: number): Promise<string[]> {
  const rows = await db.deleteFrom('signing_keys').where('retired_at', '<', time).returning('id').execute();
  return rows.map((row) => row.id);
}
