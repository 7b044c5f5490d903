import { StatementSync } from 'node:sqlite';
import pg from 'pg';

/** Counts the statements that this process sends to SQLite or PostgreSQL while `action` runs. */
export async function countQueries(action: () => Promise<unknown>): Promise<number> {
  let count = 0;
  const counted: readonly (readonly [object: object, method: string])[] = [
    [StatementSync.prototype, 'all'],
    [StatementSync.prototype, 'run'],
    [pg.Client.prototype, 'query'],
  ];
  const originals = counted.map(([object, method]) => {
    const original = Reflect.get(object, method) as (...args: unknown[]) => unknown;
    Reflect.set(object, method, function (this: unknown, ...args: unknown[]) {
      count++;
      return original.apply(this, args);
    });
    return () => Reflect.set(object, method, original);
  });
  try {
    await action();
  } finally {
    for (const restore of originals) restore();
  }
  return count;
}
