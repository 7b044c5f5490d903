import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import { blobType, byteOrderedText, identity } from '../dialect.ts';

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('repositories')
    .addColumn('id', ...identity(db))
    .addColumn('name', byteOrderedText(db), (column) => column.notNull().unique())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .execute();

  await db.schema
    .createTable('blobs')
    .addColumn('digest', byteOrderedText(db), (column) => column.primaryKey().notNull())
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('generation', 'integer', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('review_at', 'bigint', (column) => column.notNull())
    .addCheckConstraint('blobs_state', sql`state in ('stored', 'deleting', 'deleted')`)
    .execute();
  // For garbage collection.
  await db.schema.createIndex('blobs_by_review').on('blobs').columns(['state', 'review_at']).execute();

  await db.schema
    .createTable('repository_blobs')
    .addColumn('repository_id', 'bigint', (column) => column.notNull().references('repositories.id'))
    .addColumn('digest', byteOrderedText(db), (column) => column.notNull().references('blobs.digest'))
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('repository_blobs_key', ['repository_id', 'digest'])
    .execute();
  await db.schema.createIndex('repository_blobs_by_digest').on('repository_blobs').column('digest').execute();

  await db.schema
    .createTable('manifests')
    .addColumn('id', ...identity(db))
    .addColumn('repository_id', 'bigint', (column) => column.notNull().references('repositories.id'))
    .addColumn('digest', byteOrderedText(db), (column) => column.notNull())
    .addColumn('media_type', 'text', (column) => column.notNull())
    .addColumn('bytes', blobType(db), (column) => column.notNull())
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('subject_digest', byteOrderedText(db))
    .addColumn('artifact_type', 'text')
    .addColumn('annotations', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addUniqueConstraint('manifests_by_digest', ['repository_id', 'digest'])
    .execute();
  await db.schema
    .createIndex('manifests_by_subject')
    .on('manifests')
    .columns(['repository_id', 'subject_digest', 'digest'])
    .execute();

  await db.schema
    .createTable('manifest_references')
    .addColumn('manifest_id', 'bigint', (column) =>
      column.notNull().references('manifests.id').onDelete('cascade'),
    )
    .addColumn('digest', byteOrderedText(db), (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('manifest_references_key', ['manifest_id', 'digest', 'kind'])
    .execute();
  await db.schema
    .createIndex('manifest_references_by_digest')
    .on('manifest_references')
    .column('digest')
    .execute();

  await db.schema
    .createTable('tags')
    .addColumn('repository_id', 'bigint', (column) => column.notNull().references('repositories.id'))
    .addColumn('name', byteOrderedText(db), (column) => column.notNull())
    .addColumn('manifest_id', 'bigint', (column) => column.notNull().references('manifests.id'))
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('tags_key', ['repository_id', 'name'])
    .execute();
  await db.schema.createIndex('tags_by_manifest').on('tags').column('manifest_id').execute();

  await db.schema
    .createTable('uploads')
    .addColumn('id', byteOrderedText(db), (column) => column.primaryKey().notNull())
    .addColumn('repository_id', 'bigint', (column) => column.notNull().references('repositories.id'))
    .addColumn('algorithm', 'text', (column) => column.notNull())
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('digest', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .addColumn('writer', 'text')
    .addColumn('writer_until', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema.createIndex('uploads_by_update').on('uploads').column('updated_at').execute();
}
