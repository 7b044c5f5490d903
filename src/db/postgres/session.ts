import type { EventEmitter } from 'node:events';
import { type ClientBase, type ClientConfig, types } from 'pg';
import { UnfitDatabase } from '../database.ts';

/** Milliseconds. After `answerTimeout` without any answer `pg` gives up: the server is stopped, or the network is cut. */
const connectTimeout = 5_000;
const answerTimeout = 15_000;
/** Milliseconds, enforced by the server. A transaction does no other I/O, so an idle one belongs to a dead replica. */
const serverLimits = { statement: 10_000, lock: 5_000, idleInTransaction: 10_000 };
const keepAliveAfter = 10_000;

export interface SessionOptions {
  readonly readOnly?: boolean;
  /** Without timeouts, for migrations. */
  readonly unlimited?: boolean;
}

const int8 = 20;

export function clientConfig(url: string, { unlimited = false }: SessionOptions = {}): ClientConfig {
  return {
    connectionString: url,
    application_name: 'berth',
    connectionTimeoutMillis: connectTimeout,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveAfter,
    ...(!unlimited && { query_timeout: answerTimeout }),
    types: {
      // Ids, sizes, counts and times are all far below 2^53.
      getTypeParser: ((oid: number, format?: 'text') =>
        oid === int8 ? Number : types.getTypeParser(oid, format)) as typeof types.getTypeParser,
    },
  };
}

/** An unhandled `error` event of a broken connection would end the process; pending queries reject anyway. */
export function ignoreErrors(emitter: EventEmitter): void {
  emitter.on('error', () => {});
}

interface Facts {
  readonly version: number;
  readonly encoding: string;
  readonly fsync: string;
  readonly synchronous_commit: string;
}

const setUp = `
  select set_config('statement_timeout', $1, false),
         set_config('lock_timeout', $2, false),
         set_config('idle_in_transaction_session_timeout', $3, false),
         set_config('default_transaction_read_only', $4, false),
         set_config('default_transaction_isolation', 'read committed', false),
         current_setting('server_version_num')::int4 as version,
         current_setting('server_encoding') as encoding,
         current_setting('fsync') as fsync,
         current_setting('synchronous_commit') as synchronous_commit`;

/**
 * Configures a new session and checks that the server's settings keep commits durable: in one round trip, for each connection, as
 * settings may change while Berth runs.
 *
 * @throws UnfitDatabase
 */
export async function openSession(client: ClientBase, options: SessionOptions = {}): Promise<void> {
  const { statement, lock, idleInTransaction } = options.unlimited
    ? { statement: 0, lock: 0, idleInTransaction: 0 }
    : serverLimits;
  const values = [statement, lock, idleInTransaction, options.readOnly ? 'on' : 'off'].map(String);
  const { rows } = await client.query<Facts>(setUp, values);
  const unfit = whyUnfit(rows[0] as Facts);
  if (unfit !== undefined) throw new UnfitDatabase(unfit);
}

/** Why the server would break Berth's guarantees, and what to do; `undefined` if it does not. */
export function whyUnfit(facts: Facts): string | undefined {
  const major = Math.floor(facts.version / 10_000);
  if (major < 14) return `this is PostgreSQL ${major}; Berth needs 14 or newer`;
  if (facts.encoding !== 'UTF8') {
    return `its encoding is ${facts.encoding}; create a database with: create database … encoding 'UTF8' template template0`;
  }
  if (facts.fsync !== 'on') {
    return 'fsync is off, so a crash of the server can corrupt it; set fsync = on in postgresql.conf and restart the server';
  }
  // Berth could set 'on' itself, but the administrator who set 'off' should learn the consequence and not be overridden.
  if (facts.synchronous_commit === 'off') {
    return (
      'synchronous_commit is off, so a crash would lose confirmed pushes; set it to on where it was turned off: ' +
      'postgresql.conf, alter system, alter database … or alter role … set synchronous_commit = on'
    );
  }
  return undefined;
}
