import { Kysely } from 'kysely';
import { Pool } from 'pg';
import { type Database, DatabaseUnavailable, type PoolState } from '../database.ts';
import type { Db } from '../prepare.ts';
import { noteProperty } from '../properties.ts';
import type { Schema } from '../schema.ts';
import { ServerClock } from './clock.ts';
import { readingDialect, writingDialect } from './dialect.ts';
import { retryConflicts } from './retry.ts';
import { clientConfig, ignoreErrors, openSession } from './session.ts';
import { askIsStandby, askTime, startPostgres } from './start.ts';

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database?sslmode=…`, as libpq writes it. */
  readonly url: string;
  /** Maximum connections, at least two: half for reading, so that waiting transactions do not block pulls. */
  readonly poolSize: number;
}

/** Milliseconds between readings of the server's clock. */
const clockEvery = 5_000;

/**
 * Opens and migrates a database on a PostgreSQL server, 14 or newer, that any number of replicas share. Transactions are READ
 * COMMITTED and lock what they depend on. Broken connections are replaced, so that a restarted server is used again.
 *
 * @throws UnfitDatabase when it cannot be reached, or its settings risk losing commits; SchemaMismatch
 */
export async function openPostgres({ url, poolSize }: PostgresOptions): Promise<Database> {
  const clock = new ServerClock();
  await startPostgres(url, clock);

  const writers = Math.max(1, Math.floor(poolSize / 2));
  const pools = {
    read: openPool(url, Math.max(1, poolSize - writers), true),
    write: openPool(url, writers, false),
  };
  const read = new Kysely<Schema>({ dialect: readingDialect(pools.read) });
  const write = new Kysely<Schema>({ dialect: writingDialect(pools.write) });

  const clockSetting = setInterval(() => {
    // If the server does not answer, the clock continues from the last reading.
    clock.set(() => askTime(read)).catch(() => {});
  }, clockEvery).unref();

  return {
    read,
    clock: clock.now,
    // Every commit waits for the disk, `durable` or not: replicas outlive the server and remember what it confirmed.
    transaction: (work) =>
      retryConflicts(() => write.transaction().execute(work as (db: Db) => Promise<never>)),
    connections: () => [stateOf('read', pools.read), stateOf('write', pools.write)],
    async ping({ write: writes = true } = {}) {
      if (await askIsStandby(read)) throw new DatabaseUnavailable('PostgreSQL: the server is a standby');
      // If every connection is busy, transactions are succeeding; one more would wait behind them.
      const busy = pools.write.totalCount >= writers && pools.write.idleCount === 0;
      if (writes && !busy)
        await write.transaction().execute((db) => noteProperty(db, 'probe', `${clock.now()}`));
    },
    async close() {
      clearInterval(clockSetting);
      await Promise.all([read.destroy(), write.destroy()]);
    },
  };
}

function stateOf(pool: PoolState['pool'], { totalCount, idleCount, waitingCount }: Pool): PoolState {
  return { pool, busy: totalCount - idleCount, idle: idleCount, waiting: waitingCount };
}

function openPool(url: string, max: number, readOnly: boolean): Pool {
  const pool = new Pool({
    ...clientConfig(url),
    max,
    idleTimeoutMillis: 60_000,
    onConnect: (client) => openSession(client, { readOnly }),
  });
  // An idle connection that breaks is no error: the pool has removed it already.
  ignoreErrors(pool);
  pool.on('connect', ignoreErrors);
  return pool;
}
