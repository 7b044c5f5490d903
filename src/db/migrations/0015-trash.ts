import { type Kysely, sql } from 'kysely';
import { byteOrderedText, identity } from '../dialect.ts';

/** What was deleted and can be restored, and the columns that hide its repositories from clients. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('repositories').addColumn('trashed_at', 'bigint').execute();
  await db.schema
    .alterTable('repositories')
    .addColumn('trash_of', 'bigint', (column) => column.references('repositories.id'))
    .execute();
  await db.schema
    .createIndex('repositories_by_trash_of')
    .on('repositories')
    .column('trash_of')
    .unique()
    .where('trash_of', 'is not', null)
    .execute();

  await db.schema
    .createTable('trash')
    .addColumn('id', ...identity(db))
    // No foreign key: the insertion would lock the repository after the tags.
    .addColumn('repository_id', 'bigint', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('tag', byteOrderedText(db))
    .addColumn('digest', byteOrderedText(db))
    .addColumn('with_manifest', 'bigint', (column) => column.notNull())
    .addColumn('deleted_at', 'bigint', (column) => column.notNull())
    .addColumn('actor', 'text', (column) => column.notNull())
    .addCheckConstraint('trash_kind', sql`kind in ('tag', 'manifest', 'repository')`)
    .execute();
  await db.schema
    .createIndex('trash_by_digest')
    .on('trash')
    .columns(['repository_id', 'digest', 'tag'])
    .execute();
  await db.schema.createIndex('trash_by_tag').on('trash').columns(['repository_id', 'tag', 'id']).execute();
  await db.schema.createIndex('trash_by_time').on('trash').columns(['deleted_at', 'id']).execute();
}
