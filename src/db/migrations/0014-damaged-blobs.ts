import { type Kysely, sql } from 'kysely';

/** Marks of blobs whose stored bytes are missing or wrong. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('blobs').addColumn('damaged_at', 'bigint').execute();
  await db.schema
    .createIndex('blobs_damaged')
    .on('blobs')
    .column('digest')
    .where(sql`damaged_at`, 'is not', null)
    .execute();
}
