import type { CompiledQuery, DatabaseConnection, Dialect, Driver, Kysely, QueryResult } from 'kysely';
import { PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely';
import type { ClientBase, Pool, PoolClient } from 'pg';
import { DatabaseUnavailable } from '../database.ts';
import { isPrepared } from '../prepare.ts';
import { asFault, asUnreachable, ConnectionLost } from './errors.ts';
import { retryConflicts } from './retry.ts';

/** Dialect for single reads: each uses any free connection for one round trip. */
export function readingDialect(pool: Pool): Dialect {
  return dialect(new ReadDriver(pool));
}

/** Dialect for transactions: each has its own connection. */
export function writingDialect(pool: Pool): Dialect {
  return dialect(
    new TransactionDriver({
      take: async () => new Session(await take(pool)),
      give: ({ client, broken }) => (client as PoolClient).release(broken),
      end: () => pool.end(),
    }),
  );
}

/** Dialect over one connection, for migrations; the caller closes it. */
export function sessionDialect(client: ClientBase): Dialect {
  const session = new Session(client);
  return dialect(new TransactionDriver({ take: async () => session, give() {}, async end() {} }));
}

function dialect(driver: Driver): Dialect {
  const adapter = new PostgresAdapter();
  return {
    createAdapter: () => adapter,
    createDriver: () => driver,
    createQueryCompiler: () => new PostgresQueryCompiler(),
    createIntrospector: (db: Kysely<unknown>) => new PostgresIntrospector(db),
  };
}

async function take(pool: Pool): Promise<PoolClient> {
  try {
    return await pool.connect();
  } catch (error) {
    throw asUnreachable(error);
  }
}

/** One connection while it is in use. */
class Session implements DatabaseConnection {
  readonly client: ClientBase;
  /** The connection must not be used again. */
  broken = false;

  constructor(client: ClientBase) {
    this.client = client;
  }

  async executeQuery<R>(compiled: CompiledQuery): Promise<QueryResult<R>> {
    const query = {
      text: compiled.sql,
      values: compiled.parameters as unknown[],
      // The server parses and plans a named statement once per connection.
      ...(isPrepared(compiled) && { name: compiled.statement }),
    };
    const { rows, rowCount } = await this.#watch(() => this.client.query(query));
    return { rows: rows as R[], numAffectedRows: BigInt(rowCount ?? 0) };
  }

  /** Runs statements without parameters; returns the command tag of the last one. */
  async command(text: string): Promise<string> {
    // `pg` returns a list if there are several.
    const results = [await this.#watch(() => this.client.query(text))].flat();
    return results.at(-1)?.command ?? '';
  }

  // biome-ignore lint/correctness/useYield: not used, as pages are short
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('streaming queries is not supported');
  }

  async #watch<T>(query: () => Promise<T>): Promise<T> {
    try {
      return await query();
    } catch (error) {
      const fault = asFault(error);
      if (fault instanceof ConnectionLost) this.broken = true;
      throw fault;
    }
  }
}

class ReadDriver implements Driver {
  readonly #pool: Pool;
  readonly #reads: DatabaseConnection;

  constructor(pool: Pool) {
    this.#pool = pool;
    this.#reads = {
      executeQuery: (compiled) => this.#read(compiled),
      streamQuery: Session.prototype.streamQuery,
    };
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    return this.#reads;
  }

  /** Retries a read that lost its connection (the server was restarted) on another one. */
  #read<R>(compiled: CompiledQuery): Promise<QueryResult<R>> {
    return retryConflicts(() => this.#readOnce<R>(compiled));
  }

  async #readOnce<R>(compiled: CompiledQuery): Promise<QueryResult<R>> {
    const client = await take(this.#pool);
    const session = new Session(client);
    try {
      return await session.executeQuery(compiled);
    } finally {
      client.release(session.broken);
    }
  }

  async beginTransaction(): Promise<void> {
    throw new Error('the dialect for reads does not support transactions');
  }
  async commitTransaction(): Promise<void> {}
  async rollbackTransaction(): Promise<void> {}
  async releaseConnection(): Promise<void> {}

  destroy(): Promise<void> {
    return this.#pool.end();
  }
}

interface Sessions {
  take(): Promise<Session>;
  give(session: Session): void;
  end(): Promise<void>;
}

class TransactionDriver implements Driver {
  readonly #sessions: Sessions;

  constructor(sessions: Sessions) {
    this.#sessions = sessions;
  }

  async init(): Promise<void> {}

  acquireConnection(): Promise<Session> {
    return this.#sessions.take();
  }

  async releaseConnection(session: Session): Promise<void> {
    this.#sessions.give(session);
  }

  async beginTransaction(session: Session): Promise<void> {
    await session.command('begin');
  }

  /**
   * If a statement timeout fires while a commit waits for a standby, the server confirms the commit with only a warning, although it
   * is on one machine only. So the commit has no statement timeout. If `pg`'s own timeout ends the wait, the outcome is unknown.
   */
  async commitTransaction(session: Session): Promise<void> {
    let done: string;
    try {
      done = await session.command('set local statement_timeout = 0; commit');
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
      throw new DatabaseUnavailable('the answer to a commit was lost', { cause: error });
    }
    if (done !== 'COMMIT') throw new Error(`PostgreSQL answered ${done} to a commit`);
  }

  /** A connection that cannot roll back is closed, and the server rolls back. */
  async rollbackTransaction(session: Session): Promise<void> {
    if (session.broken) return;
    await session.command('rollback').catch(() => {
      session.broken = true;
    });
  }

  destroy(): Promise<void> {
    return this.#sessions.end();
  }
}
