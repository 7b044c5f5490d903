import type { Kysely } from 'kysely';
import { byteOrderedText } from '../dialect.ts';

/** Former names of renamed repositories. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('repository_aliases')
    .addColumn('name', byteOrderedText(db), (column) => column.primaryKey().notNull())
    .addColumn('repository_id', 'bigint', (column) =>
      column.notNull().references('repositories.id').onDelete('cascade'),
    )
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .execute();
  // For deletions of repositories, and of expired aliases.
  for (const column of ['repository_id', 'expires_at']) {
    await db.schema
      .createIndex(`repository_aliases_by_${column === 'expires_at' ? 'expiry' : 'repository'}`)
      .on('repository_aliases')
      .column(column)
      .execute();
  }
}
