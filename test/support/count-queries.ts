import { StatementSync } from 'node:sqlite';
import pg from 'pg';

/** Counts the statements that this process sends to SQLite or PostgreSQL while `action` runs. */
export async function countQueries(action: () => Promise<unknown>): Promise<number> {
  return (await collectQueries(action)).length;
}

/** The texts of these statements. */
export async function collectQueries(action: () => Promise<unknown>): Promise<string[]> {
  const texts: string[] = [];
  const textOf = (self: unknown, [query]: unknown[]): string =>
    self instanceof StatementSync ? self.sourceSQL : String((query as { text?: string }).text ?? query);
  const collected: readonly (readonly [object: object, method: string])[] = [
    [StatementSync.prototype, 'all'],
    [StatementSync.prototype, 'run'],
    [pg.Client.prototype, 'query'],
  ];
  const originals = collected.map(([object, method]) => {
    const original = Reflect.get(object, method) as (...args: unknown[]) => unknown;
    Reflect.set(object, method, function (this: unknown, ...args: unknown[]) {
      texts.push(textOf(this, args));
      return original.apply(this, args);
    });
    return () => Reflect.set(object, method, original);
  });
  try {
    await action();
  } finally {
    for (const restore of originals) restore();
  }
  return texts;
}

/** The number of transactions among them. */
export function countTransactions(statements: readonly string[]): number {
  return statements.filter((text) => /^begin/i.test(text)).length;
}
