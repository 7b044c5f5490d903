import type { Database } from '../../src/db/database.ts';
import type { Db } from '../../src/db/prepare.ts';

/** A database in which a transaction pauses at one point until it is resumed. */
export interface PausedDatabase extends Database {
  /** Resolves when a transaction has reached the point. */
  readonly reached: Promise<void>;
  goOn(): void;
  /** SQLSTATEs of failed statements, in order. */
  readonly failures: readonly string[];
}

/** @param point number of statements in transactions, commits included, before one pauses */
export function pauseAt(database: Database, point: number): PausedDatabase {
  const reached = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const failures: string[] = [];
  let passed = 0;
  const pass = async (): Promise<void> => {
    if (passed++ !== point) return;
    reached.resolve();
    await gate.promise;
  };
  const slow = (db: Db): Db =>
    new Proxy(db, {
      get(target, key) {
        if (key === 'executeQuery') {
          return async (...query: Parameters<Db['executeQuery']>) => {
            await pass();
            try {
              return await target.executeQuery(...query);
            } catch (error) {
              failures.push((error as { code?: string }).code ?? String(error));
              throw error;
            }
          };
        }
        const value = Reflect.get(target, key, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  return {
    ...database,
    async transaction(work, options) {
      return database.transaction(async (db) => {
        const result = await work(slow(db));
        await pass();
        return result;
      }, options);
    },
    reached: reached.promise,
    goOn: gate.resolve,
    failures,
  };
}
