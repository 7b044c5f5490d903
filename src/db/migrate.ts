import { type Kysely, sql } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import { EmptyDatabase, SchemaMismatch } from './database.ts';
import { isPostgres } from './dialect.ts';
import * as registry from './migrations/0001-registry.ts';
import * as replicas from './migrations/0002-replicas.ts';
import * as access from './migrations/0003-access.ts';
import * as storeIdentity from './migrations/0004-store-identity.ts';
import * as sessionOrigin from './migrations/0005-session-origin.ts';
import * as uploads from './migrations/0006-uploads.ts';
import * as grants from './migrations/0007-grants.ts';
import * as referrers from './migrations/0008-referrers.ts';
import * as changes from './migrations/0009-changes.ts';
import * as changeIds from './migrations/0010-change-ids.ts';
import * as reviews from './migrations/0011-reviews.ts';
import * as tagHistory from './migrations/0012-tag-history.ts';
import * as tagRules from './migrations/0013-tag-rules.ts';
import * as damagedBlobs from './migrations/0014-damaged-blobs.ts';
import * as trash from './migrations/0015-trash.ts';
import * as aliases from './migrations/0016-aliases.ts';
import * as usage from './migrations/0017-usage.ts';
import * as retention from './migrations/0018-retention.ts';
import { type Db, first, prepare } from './prepare.ts';
import type { Schema } from './schema.ts';

/** In order; a released name is never changed. */
export const migrations: Readonly<Record<string, Migration>> = {
  '0001-registry': registry,
  '0002-replicas': replicas,
  '0003-access': access,
  '0004-store-identity': storeIdentity,
  '0005-session-origin': sessionOrigin,
  '0006-uploads': uploads,
  '0007-grants': grants,
  '0008-referrers': referrers,
  '0009-changes': changes,
  '0010-change-ids': changeIds,
  '0011-reviews': reviews,
  '0012-tag-history': tagHistory,
  '0013-tag-rules': tagRules,
  '0014-damaged-blobs': damagedBlobs,
  '0015-trash': trash,
  '0016-aliases': aliases,
  '0017-usage': usage,
  '0018-retention': retention,
};

/** The name of the last migration. */
export const schemaVersion = Object.keys(migrations).at(-1) as string;

/**
 * Migrates the database to this version's schema, each step in its own transaction: after a crash the next start continues with the
 * unfinished step. There are no downgrades.
 *
 * @throws SchemaMismatch when the schema is newer
 */
export async function migrate(db: Kysely<Schema>, known = migrations): Promise<void> {
  if (await isCurrent(db, known)) return;
  const migrator = new Migrator({ db, provider: { getMigrations: async () => known } });
  for (const name of Object.keys(known)) {
    const { error } = await migrator.migrateTo(name);
    if (error)
      throw new Error(`migrating the database to ${name} failed; this step was rolled back`, {
        cause: error,
      });
  }
}

/** Whether all migrations are applied. @throws SchemaMismatch when the schema is newer */
export async function isCurrent(db: Kysely<Schema>, known = migrations): Promise<boolean> {
  const applied = await appliedNames(db);
  refuseNewer(applied, known);
  return applied.length === Object.keys(known).length;
}

/** The key under which Kysely's Migrator locks PostgreSQL for each step (`kysely/dialect/postgres`). */
const migrationLock = '3853314791062309107';

const selectApplied = prepare((db) => {
  const kept = isPostgres(db)
    ? sql<boolean>`pg_try_advisory_xact_lock_shared(${sql.lit(migrationLock)}::bigint)`
    : sql<boolean>`true`;
  return db
    .selectFrom(sql`kysely_migration`.as('applied'))
    .select(({ fn }) => [fn.countAll<number>().as('count'), kept.as('kept')]);
});

/**
 * Keeps migrations waiting until the transaction ends. False if one is under way, or the schema is not this version's. (A transaction
 * of SQLite excludes others.)
 */
export async function keepSchema(db: Db): Promise<boolean> {
  const found = await first(selectApplied(db, {}));
  return Boolean(found?.kept) && Number(found?.count) === Object.keys(migrations).length;
}

/**
 * Checks, without migrating, that the database has exactly this version's schema.
 *
 * @throws SchemaMismatch when the schema is older or newer; EmptyDatabase when there is none
 */
export async function requireCurrentSchema(db: Kysely<Schema>, known = migrations): Promise<void> {
  const applied = await appliedNames(db);
  if (applied.length === 0) throw new EmptyDatabase();
  refuseNewer(applied, known);
  const missing = Object.keys(known).filter((name) => !applied.includes(name));
  if (missing.length > 0) {
    throw new SchemaMismatch(
      `the database was written by an older Berth (it lacks ${missing.join(', ')}); start this version once to migrate it`,
    );
  }
}

function refuseNewer(applied: readonly string[], known: Readonly<Record<string, Migration>>): void {
  const newer = applied.filter((name) => !Object.hasOwn(known, name));
  if (newer.length > 0) {
    throw new SchemaMismatch(
      `the database was written by a newer Berth (it has ${newer.join(', ')}); start that version, or restore a backup`,
    );
  }
}

async function appliedNames(db: Kysely<Schema>): Promise<string[]> {
  // Kysely's introspection would read the columns of all tables, and fail while another process migrates them.
  const { rows: found } = isPostgres(db)
    ? await sql`select 1 where to_regclass('kysely_migration') is not null`.execute(db)
    : await sql`select 1 from sqlite_master where name = 'kysely_migration'`.execute(db);
  if (found.length === 0) return [];
  const { rows } = await db.executeQuery<{ name: string }>(
    db
      .withTables<{ kysely_migration: { name: string } }>()
      .selectFrom('kysely_migration')
      .select('name')
      .compile(),
  );
  return rows.map((row) => row.name);
}
