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

/** An arbitrary key among the advisory locks of the database. */
const migrationLock = sql.lit('7090190283452108801');

const pooled =
  'a connection pooler (such as PgBouncer) assigns a server process to each transaction, so settings, locks and prepared ' +
  'statements of a session are lost; set pool_mode = session for this database, or connect to PostgreSQL directly';

/**
 * First steps of a start: checks the server and its settings, sets the clock, and migrates the schema if needed.
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

/** Of replicas that start together, one migrates and the others wait. The lock ends with its session, even after a crash. */
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
      // Not awaited: a stopped server does not answer.
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
