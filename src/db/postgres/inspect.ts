import { Kysely, sql } from 'kysely';
import { Client, Pool } from 'pg';
import { tables } from '../copy/tables.ts';
import { type BrokenForeignKey, type Inspection, maxProblems } from '../inspection.ts';
import { requireCurrentSchema } from '../migrate.ts';
import type { Schema } from '../schema.ts';
import { ServerClock } from './clock.ts';
import { readingDialect, sessionDialect } from './dialect.ts';
import { asStartFailure } from './errors.ts';
import { clientConfig, ignoreErrors, openSession } from './session.ts';
import { askTime } from './start.ts';

/** Few, so that checks do not compete with the processes that serve. */
const connections = 4;
/** No timeout, as whole tables are read. */
const session = { readOnly: true, unlimited: true };

/** @throws UnfitDatabase when it cannot be reached; SchemaMismatch for another version's schema; EmptyDatabase without one */
export async function inspectPostgres(url: string): Promise<Inspection> {
  const pool = new Pool({
    ...clientConfig(url, session),
    max: connections,
    onConnect: (client) => openSession(client, session),
  });
  ignoreErrors(pool);
  pool.on('connect', ignoreErrors);
  const read = new Kysely<Schema>({ dialect: readingDialect(pool) });
  const clock = new ServerClock();
  try {
    await requireCurrentSchema(read);
    await clock.set(() => askTime(read));
  } catch (error) {
    await read.destroy();
    throw asStartFailure(error, '');
  }
  return {
    read,
    clock: clock.now,
    async snapshot(work) {
      const client = new Client(clientConfig(url, session));
      ignoreErrors(client);
      try {
        await client.connect();
        await openSession(client, session);
      } catch (error) {
        await client.end();
        throw asStartFailure(error, '');
      }
      const db = new Kysely<Schema>({ dialect: sessionDialect(client) });
      try {
        return await db.transaction().execute(async (transaction) => {
          // The session is read-only already. The first query chooses the state that all others see.
          await sql`set transaction isolation level repeatable read`.execute(transaction);
          return work(transaction);
        });
      } finally {
        await client.end();
      }
    },
    // The server checks the pages that it reads, if `data_checksums` is on, and fails the query.
    async integrityProblems() {
      return [];
    },
    async brokenForeignKeys() {
      const broken: BrokenForeignKey[] = [];
      for (const { name, needs } of tables) {
        for (const [column, parent, id] of needs) {
          const { rows } = await sql<{ row: string }>`
            select ctid::text as row from ${sql.table(name)} as child
            where ${sql.ref(`child.${column}`)} is not null and not exists
              (select 1 from ${sql.table(parent)} as parent where ${sql.ref(`parent.${id}`)} = ${sql.ref(`child.${column}`)})
            limit ${maxProblems}`.execute(read);
          for (const { row } of rows) broken.push({ table: name, row, column, parent });
        }
      }
      return broken;
    },
    async close() {
      await read.destroy();
    },
  };
}
