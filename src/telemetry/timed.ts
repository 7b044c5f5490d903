import type { Database } from '../db/database.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { Metrics } from './metrics.ts';

/** Wraps a database to time its transactions and pings. */
export function timedDatabase(database: Database, { time }: Metrics): Database {
  return {
    read: database.read,
    clock: database.clock,
    transaction: (work, options) =>
      time('database', 'transaction', () => database.transaction(work, options)),
    ping: (options) => time('database', 'ping', () => database.ping(options)),
    close: () => database.close(),
  };
}

/** Wraps a store to time the operations that requests wait for (an append takes as long as its body). */
export function timedStore(store: BlobStore, { time }: Metrics): BlobStore {
  return {
    ...store,
    read: (key, range) => time('store', 'read', () => store.read(key, range)),
    append: (upload, body, options) => time('store', 'append', () => store.append(upload, body, options)),
    commit: (upload, key) => time('store', 'commit', () => store.commit(upload, key)),
    abort: (upload, kept) => time('store', 'abort', () => store.abort(upload, kept)),
  };
}
