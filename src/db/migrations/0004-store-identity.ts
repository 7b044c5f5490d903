import type { Kysely } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('blobs').addColumn('parked_at', 'bigint').execute();
  // Few rows are parked; counting them must not read all rows.
  await db.schema
    .createIndex('blobs_parked')
    .on('blobs')
    .column('parked_at')
    .where('parked_at', 'is not', null)
    .execute();
}
