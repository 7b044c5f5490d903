import { type Kysely, sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('trusts')
    .addColumn('own_issuer', 'bigint', (column) => column.notNull().defaultTo(0))
    .execute();
  // Nobody was asked so far: who trusted an issuer meant it. What is known to be for everyone is judged all the same.
  await sql`update trusts set own_issuer = 1`.execute(db);

  await db.schema.alterTable('repository_blobs').addColumn('session', 'text').execute();
}
