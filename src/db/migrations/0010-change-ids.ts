import { type Kysely, sql } from 'kysely';
import { isPostgres } from '../dialect.ts';

/**
 * SQLite: removes AUTOINCREMENT from the ids of changes, because it writes one more page in each commit. `deleteChanges` keeps the last
 * row, so no id is used twice.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  if (isPostgres(db)) return;
  await db.schema
    .createTable('changes_rebuilt')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('at', 'bigint', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('repository', 'text')
    .addColumn('repository_id', 'bigint')
    .addColumn('tag', 'text')
    .addColumn('old_digest', 'text')
    .addColumn('new_digest', 'text')
    .addColumn('detail', 'text')
    .addColumn('actor', 'text', (column) => column.notNull())
    .addColumn('actor_name', 'text', (column) => column.notNull())
    .addColumn('credential', 'text', (column) => column.notNull())
    .addColumn('address', 'text')
    .addColumn('client', 'text')
    .addColumn('request_id', 'text')
    .execute();
  await sql`
    insert into changes_rebuilt (id, at, kind, repository, repository_id, tag, old_digest, new_digest, detail, actor, actor_name,
      credential, address, client, request_id)
    select id, at, kind, repository, repository_id, tag, old_digest, new_digest, detail, actor, actor_name,
      credential, address, client, request_id
    from changes
  `.execute(db);
  await db.schema.dropTable('changes').execute();
  await db.schema.alterTable('changes_rebuilt').renameTo('changes').execute();
  await db.schema.createIndex('changes_by_time').on('changes').columns(['at', 'id']).execute();
}
