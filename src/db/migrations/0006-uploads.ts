import type { Kysely } from 'kysely';
import { sql } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('uploads')
    .addColumn('charged_to', 'text', (column) => column.notNull().defaultTo(''))
    .execute();
  await db.schema
    .alterTable('uploads')
    .addColumn('receiving', 'bigint', (column) => column.notNull().defaultTo(0))
    .execute();
  // The networks of anonymous uploads were not recorded.
  await sql`update uploads set charged_to = principal where principal <> 'anonymous'`.execute(db);
  await db.schema.createIndex('uploads_by_charge').on('uploads').column('charged_to').execute();
}
