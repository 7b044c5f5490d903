import type { Database } from '../../src/db/database.ts';
import type { Db, DirectAdapter } from '../../src/db/prepare.ts';
import type { Faults } from './faults.ts';

/**
 * A database of which one call fails: a read, a statement inside a transaction, or the whole transaction, before or after its
 * commit (as when the sync after the commit fails).
 */
export function failingDatabase(database: Database, faults: Faults): Database {
  return {
    read: failingHandle(database.read, 'read', faults),
    clock: database.clock,
    transaction: (work, options) =>
      faults.around('transaction', () =>
        database.transaction((db) => work(failingHandle(db, 'statement', faults)), options),
      ),
    ping: (options) => faults.around('ping', () => database.ping(options)),
    close: () => database.close(),
  };
}

/** The handle with its queries passed through `faults`: on SQLite the prepared ones, elsewhere all. */
function failingHandle(db: Db, call: string, faults: Faults): Db {
  const executor = db.getExecutor();
  const adapter = executor.adapter as typeof executor.adapter & Partial<DirectAdapter>;
  const failingAdapter = Object.create(adapter, {
    runDirect: {
      value: (query: string, parameters: readonly unknown[]) => {
        faults.check(`${call}: ${query}`);
        return adapter.runDirect?.(query, parameters);
      },
    },
  });
  const failingExecutor = Object.create(executor, { adapter: { value: failingAdapter } });
  const executeQuery = async (...query: Parameters<Db['executeQuery']>) => {
    faults.check(`${call}: ${'sql' in query[0] ? query[0].sql : ''}`);
    return db.executeQuery(...query);
  };
  return new Proxy(db, {
    get(target, key) {
      if (adapter.runDirect === undefined && key === 'executeQuery') return executeQuery;
      if (adapter.runDirect !== undefined && key === 'getExecutor') return () => failingExecutor;
      const value = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
