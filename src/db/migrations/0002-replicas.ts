import type { Kysely } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('uploads')
    .addColumn('staged', 'text', (column) => column.notNull().defaultTo(''))
    .execute();

  // For pages of referrers of one type: their cost does not depend on the number of referrers of other types.
  await db.schema
    .createIndex('manifests_by_subject_and_type')
    .on('manifests')
    .columns(['repository_id', 'subject_digest', 'artifact_type', 'digest'])
    .where('subject_digest', 'is not', null)
    .execute();

  await db.schema
    .createTable('leases')
    .addColumn('name', 'text', (column) => column.primaryKey().notNull())
    .addColumn('holder', 'text', (column) => column.notNull())
    .addColumn('held_until', 'bigint', (column) => column.notNull())
    .execute();

  await db.schema
    .createTable('properties')
    .addColumn('name', 'text', (column) => column.primaryKey().notNull())
    .addColumn('value', 'text', (column) => column.notNull())
    .execute();
}
