import { type Kysely, sql } from 'kysely';
import { byteOrderedText, identity } from '../dialect.ts';

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('tag_rules')
    .addColumn('id', ...identity(db))
    .addColumn('account_id', 'bigint', (column) => column.references('accounts.id').onDelete('cascade'))
    .addColumn('repository_id', 'bigint', (column) =>
      column.references('repositories.id').onDelete('cascade'),
    )
    .addColumn('rule', byteOrderedText(db), (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addCheckConstraint('tag_rules_place', sql`(account_id is null) <> (repository_id is null)`)
    .execute();
  for (const owner of ['account', 'repository']) {
    await db.schema
      .createIndex(`tag_rules_by_${owner}`)
      .on('tag_rules')
      .columns([`${owner}_id`, 'rule'])
      .unique()
      .execute();
  }
}
