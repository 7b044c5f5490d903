import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import type { CompiledQuery, DatabaseConnection, Dialect, Driver, Kysely, QueryResult } from 'kysely';
import { SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely';
import type { DirectAdapter } from '../prepare.ts';
import { damageOf } from './damage.ts';

const maxStatements = 500;

/** Whether another process holds the lock: SQLITE_BUSY (5). Extended codes (recovery, snapshot) have it in their lowest byte. */
export function isBusy(error: unknown): boolean {
  return (((error as { errcode?: number }).errcode ?? 0) & 0xff) === 5;
}

/** A `node:sqlite` connection that caches prepared statements. */
export class SqliteConnection implements DatabaseConnection {
  readonly database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  /** SQLite's last message about damage: part of the file cannot be read, and a restart does not repair it. */
  damage: string | undefined;

  constructor(database: DatabaseSync) {
    this.database = database;
  }

  /** Runs a statement and returns its rows (none for a write without `returning`). */
  all(query: string, parameters: readonly unknown[]): unknown[] {
    try {
      return this.#statement(query).all(...(parameters as SQLInputValue[]));
    } catch (error) {
      throw this.#noteDamage(error);
    }
  }

  async executeQuery<R>(compiled: CompiledQuery): Promise<QueryResult<R>> {
    try {
      const statement = this.#statement(compiled.sql);
      const parameters = compiled.parameters as SQLInputValue[];
      if (statement.columns().length > 0) return { rows: statement.all(...parameters) as R[] };
      const { changes, lastInsertRowid } = statement.run(...parameters);
      return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) };
    } catch (error) {
      throw this.#noteDamage(error);
    }
  }

  #noteDamage(error: unknown): unknown {
    this.damage = damageOf(error) ?? this.damage;
    return error;
  }

  // biome-ignore lint/correctness/useYield: not used, as SQLite answers synchronously
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('streaming queries is not supported');
  }

  #statement(query: string): StatementSync {
    let statement = this.#statements.get(query);
    if (statement === undefined) {
      if (this.#statements.size === maxStatements) this.#statements.clear();
      statement = this.database.prepare(query);
      this.#statements.set(query, statement);
    }
    return statement;
  }
}

/** Dialect over one `node:sqlite` connection; queries of `prepare()` bypass it. */
export function sqliteDialect(connection: SqliteConnection, options: { busyTimeout: number }): Dialect {
  const adapter = new DirectSqliteAdapter(connection);
  return {
    createAdapter: () => adapter,
    createDriver: () => new SqliteDriver(connection, options.busyTimeout),
    createQueryCompiler: () => new SqliteQueryCompiler(),
    createIntrospector: (db: Kysely<unknown>) => new SqliteIntrospector(db),
  };
}

class DirectSqliteAdapter extends SqliteAdapter implements DirectAdapter {
  readonly #connection: SqliteConnection;

  constructor(connection: SqliteConnection) {
    super();
    this.#connection = connection;
  }

  // SQLite's DDL is transactional; Kysely denies it for older engines.
  override get supportsTransactionalDdl(): boolean {
    return true;
  }

  runDirect(query: string, parameters: readonly unknown[]): unknown[] {
    return this.#connection.all(query, parameters);
  }
}

class SqliteDriver implements Driver {
  readonly #connection: SqliteConnection;
  readonly #busyTimeout: number;
  /** Deadline for another process's lock, shared by all queued transactions. For one timeout after it, none waits. */
  #giveUpAt = Number.NEGATIVE_INFINITY;

  constructor(connection: SqliteConnection, busyTimeout: number) {
    this.#connection = connection;
    this.#busyTimeout = busyTimeout;
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<SqliteConnection> {
    return this.#connection;
  }

  /**
   * `immediate`: a transaction that reads first and writes later would fail if another process wrote in between. While another
   * process holds the lock, this waits on a timer: SQLite's own wait blocks the event loop.
   */
  async beginTransaction(connection: SqliteConnection): Promise<void> {
    for (let wait = 1; ; wait = Math.min(wait * 2, 50)) {
      try {
        connection.all('begin immediate', []);
        this.#giveUpAt = Number.NEGATIVE_INFINITY;
        return;
      } catch (error) {
        if (!isBusy(error)) throw error;
        const now = performance.now();
        if (now > this.#giveUpAt + this.#busyTimeout) this.#giveUpAt = now + this.#busyTimeout;
        if (now > this.#giveUpAt) throw error;
      }
      await delay(wait);
    }
  }

  async commitTransaction(connection: SqliteConnection): Promise<void> {
    connection.all('commit', []);
  }

  async rollbackTransaction(connection: SqliteConnection): Promise<void> {
    // On a full disk SQLite has already rolled back.
    if (connection.database.isTransaction) connection.all('rollback', []);
  }

  async releaseConnection(): Promise<void> {}

  async destroy(): Promise<void> {
    this.#connection.database.close();
  }
}
