import type { Kysely } from 'kysely';
import { byteOrderedText, identity } from '../dialect.ts';

export async function up(db: Kysely<unknown>): Promise<void> {
  // No foreign keys: changes outlive their account and repository.
  await db.schema
    .createTable('changes')
    .addColumn('id', ...identity(db))
    .addColumn('at', 'bigint', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('repository', 'text')
    .addColumn('repository_id', 'bigint')
    .addColumn('tag', byteOrderedText(db))
    .addColumn('old_digest', byteOrderedText(db))
    .addColumn('new_digest', byteOrderedText(db))
    .addColumn('detail', 'text')
    .addColumn('actor', 'text', (column) => column.notNull())
    .addColumn('actor_name', 'text', (column) => column.notNull())
    .addColumn('credential', 'text', (column) => column.notNull())
    .addColumn('address', 'text')
    .addColumn('client', 'text')
    .addColumn('request_id', 'text')
    .execute();
  // The order in which the audit log is listed.
  await db.schema.createIndex('changes_by_time').on('changes').columns(['at', 'id']).execute();
}
