import { createHash } from 'node:crypto';
import {
  type CompiledQuery,
  type Expression,
  type Kysely,
  type KyselyPlugin,
  OperationNodeTransformer,
  sql,
  ValueNode,
} from 'kysely';
import type { Schema } from './schema.ts';

/** A handle for queries: a database's `read`, or a transaction's. */
export type Db = Kysely<Schema>;

/** Returns a placeholder for the parameter `name` while a query is built. */
export type Params<P> = <K extends keyof P & string>(name: K) => Expression<P[K]>;

class Placeholder {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/**
 * Writes constants into the text of a query. As parameters they would hide from PostgreSQL which partial index has the rows, and SQLite
 * would plan a query again at each run if a partial index may depend on one: that took 17 of 26 microseconds.
 */
class Constants extends OperationNodeTransformer {
  protected override transformValue(node: ValueNode): ValueNode {
    return node.value instanceof Placeholder ? node : ValueNode.createImmediate(node.value);
  }
}

const constants = new Constants();
const constantsInText: KyselyPlugin = {
  transformQuery: ({ node }) => constants.transformNode(node),
  transformResult: async ({ result }) => result,
};

interface Compilable<R> {
  compile(): CompiledQuery<R>;
}

/** A compiled, reusable query; `statement` is PostgreSQL's statement name, derived from the text. */
export type PreparedQuery<R = unknown> = CompiledQuery<R> & { readonly statement: string };

export function isPrepared(query: CompiledQuery): query is PreparedQuery {
  return 'statement' in query;
}

interface Prepared {
  readonly query: PreparedQuery;
  /** The parameter at each position: a placeholder or a constant. */
  readonly slots: readonly unknown[];
}

/** An adapter that runs statements synchronously, without Kysely's executor (SQLite, see sqlite/dialect.ts). */
export interface DirectAdapter {
  runDirect(query: string, parameters: readonly unknown[]): unknown[];
}

/**
 * Builds a query once and runs it many times: building costs ten times as much as running it on SQLite. Returns a function of a
 * handle and the named parameters.
 *
 *     const find = prepare((db, p: Params<{ name: string }>) =>
 *       db.selectFrom('repositories').select('id').where('name', '=', p('name')));
 *     const rows = await find(db, { name });
 */
export function prepare<P extends object, R>(
  build: (db: Db, p: Params<P>) => Compilable<R>,
): (db: Db, params: P) => Promise<R[]> {
  // One per database of this process: a handle and its transactions share the adapter.
  const byAdapter = new WeakMap<object, Prepared>();
  return async (db, params) => {
    const executor = db.getExecutor();
    let prepared = byAdapter.get(executor.adapter);
    if (prepared === undefined) {
      const query = build(db.withPlugin(constantsInText), (name) => sql`${new Placeholder(name)}`).compile();
      const statement = createHash('sha256').update(query.sql).digest('hex').slice(0, 32);
      prepared = { query: { ...query, statement }, slots: query.parameters };
      byAdapter.set(executor.adapter, prepared);
    }
    const values: unknown[] = [];
    for (const slot of prepared.slots) {
      values.push(slot instanceof Placeholder ? (params as Record<string, unknown>)[slot.name] : slot);
    }
    const adapter = executor.adapter as Partial<DirectAdapter>;
    if (adapter.runDirect) return adapter.runDirect(prepared.query.sql, values) as R[];
    const query = { ...prepared.query, parameters: values } as PreparedQuery<R>;
    return (await db.executeQuery<R>(query)).rows;
  };
}

/** The first row of a query's result, or `undefined`. */
export async function first<R>(rows: Promise<R[]>): Promise<R | undefined> {
  return (await rows)[0];
}
