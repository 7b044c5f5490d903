import type { EventEmitter } from 'node:events';
import { type ClientBase, type ClientConfig, types } from 'pg';
import { UnfitDatabase } from '../database.ts';

/** Milliseconds. `pg` gives up after `answer`, when nothing at all was heard: the server is stopped, or the network is cut. */
const connectTimeout = 5_000;
const answerTimeout = 15_000;
/** Milliseconds, kept by the server. A transaction does no other I/O, so one that stands still is that of a replica gone. */
const serverLimits = { statement: 10_000, lock: 5_000, idleInTransaction: 10_000 };
const keepAliveAfter = 10_000;

export interface SessionOptions {
  readonly readOnly?: boolean;
  /** For migrations, which take the time that they take. */
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
      // Ids, sizes, counts and times: none comes near 2^53.
      getTypeParser: ((oid: number, format?: 'text') =>
        oid === int8 ? Number : types.getTypeParser(oid, format)) as typeof types.getTypeParser,
    },
  };
}

/** A connection reports its end as an event too, which would end the process; whoever waits for an answer is told anyway. */
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
 * Sets a new session up, and looks whether the server keeps what it confirms: in one round trip and for each connection, as
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

/** Why Berth cannot keep its promises on such a server, and what to do; `undefined` when it can. */
export function whyUnfit(facts: Facts): string | undefined {
  const major = Math.floor(facts.version / 10_000);
  if (major < 14) return `this is PostgreSQL ${major}; Berth needs 14 or newer`;
  if (facts.encoding !== 'UTF8') {
    return `its encoding is ${facts.encoding}; make another with: create database … encoding 'UTF8' template template0`;
  }
  if (facts.fsync !== 'on') {
    return 'fsync is off, so a crash of the server can ruin all of it; set fsync = on in postgresql.conf and restart it';
  }
  // Berth could ask for 'on' itself, but whoever set 'off' should know what it means here, and not find it ignored.
  if (facts.synchronous_commit === 'off') {
    return (
      'synchronous_commit is off, so a crash would lose pushes that were confirmed; set it to on where it was turned off: ' +
      'postgresql.conf, alter system, alter database … or alter role … set synchronous_commit = on'
    );
  }
  return undefined;
}
