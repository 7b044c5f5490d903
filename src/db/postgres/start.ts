import { Kysely, sql } from 'kysely';
import { Client } from 'pg';
import { UnfitDatabase } from '../database.ts';
import { isCurrent, migrate } from '../migrate.ts';
import { type Db, prepare } from '../prepare.ts';
import type { Schema } from '../schema.ts';
import type { ServerClock } from './clock.ts';
import { sessionDialect } from './dialect.ts';
import { asStartFailure } from './errors.ts';
import { isPooledByTransaction } from './pooler.ts';
import { clientConfig, ignoreErrors, openSession, type SessionOptions } from './session.ts';

/** Arbitrary: one of Berth's own, among the advisory locks of a database. */
const migrationLock = sql.lit('7090190283452108801');

const pooled =
  'a connection pooler (such as PgBouncer) gives each transaction another session there, which loses settings, locks and prepared ' +
  'statements; set pool_mode = session for this database, or connect to PostgreSQL directly';

/**
 * What a start does first: whether this is a database that will do, what time it is there, and whether its schema is ours.
 *
 * @throws UnfitDatabase, SchemaMismatch
 */
export async function startPostgres(url: string, clock: ServerClock): Promise<void> {
  const current = await withSession(url, {}, async (db, client) => {
    if (await isPooledByTransaction(client, url)) throw new UnfitDatabase(pooled);
    await clock.set(() => askTime(db));
    return isCurrent(db);
  });
  if (!current) await withSession(url, { unlimited: true }, migrateAlone);
}

/** Of replicas that start together one migrates, and the others find it done. The lock ends with its session, whatever ends it. */
async function migrateAlone(db: Db): Promise<void> {
  await sql`select pg_advisory_lock(${migrationLock})`.execute(db);
  await migrate(db);
}

async function withSession<T>(
  url: string,
  options: SessionOptions,
  run: (db: Db, client: Client) => Promise<T>,
): Promise<T> {
  let where = '';
  try {
    const client = new Client(clientConfig(url, options));
    where = ` ${client.database} at ${client.host}:${client.port}`;
    ignoreErrors(client);
    try {
      await client.connect();
      await openSession(client, options);
      return await run(new Kysely<Schema>({ dialect: sessionDialect(client) }), client);
    } finally {
      // Not waited for: a server that has stopped answers no goodbye.
      client.end().catch(() => {});
      (client as Client & { unref(): void }).unref();
    }
  } catch (error) {
    throw asStartFailure(error, where);
  }
}

const selectTime = prepare((db) =>
  db.selectNoFrom(sql<number>`(extract(epoch from clock_timestamp()) * 1000)::float8`.as('time')),
);

/** The server's time, in milliseconds since 1970. */
export async function askTime(db: Db): Promise<number> {
  const [row] = await selectTime(db, {});
  return row?.time as number;
}

const selectStandby = prepare((db) => db.selectNoFrom(sql<boolean>`pg_is_in_recovery()`.as('standby')));

export async function askIsStandby(db: Db): Promise<boolean> {
  const [row] = await selectStandby(db, {});
  return row?.standby === true;
}
