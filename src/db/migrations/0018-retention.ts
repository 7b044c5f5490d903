import { type Kysely, sql } from 'kysely';
import { byteOrderedText, identity } from '../dialect.ts';

/** Pulls of manifests, which retention reads, and retention policies. */
export async function up(db: Kysely<unknown>): Promise<void> {
  // Not columns of `manifests`: an update there would write a new version of a row with its bytes.
  await db.schema
    .createTable('manifest_pulls')
    .addColumn('manifest_id', 'bigint', (column) =>
      column.primaryKey().notNull().references('manifests.id').onDelete('cascade'),
    )
    .addColumn('pulled_at', 'bigint', (column) => column.notNull())
    .addColumn('pulls', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema
    .createTable('pull_days')
    .addColumn('repository_id', 'bigint', (column) =>
      column.notNull().references('repositories.id').onDelete('cascade'),
    )
    .addColumn('day', 'bigint', (column) => column.notNull())
    .addColumn('pulls', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('pull_days_key', ['repository_id', 'day'])
    .execute();
  // For deleting old days.
  await db.schema.createIndex('pull_days_by_day').on('pull_days').column('day').execute();
  await sql`insert into properties (name, value) values ('pulls-since', ${String(Date.now())})`.execute(db);

  await db.schema
    .createTable('retention_policies')
    .addColumn('id', ...identity(db))
    .addColumn('account_id', 'bigint', (column) => column.references('accounts.id').onDelete('cascade'))
    .addColumn('repository_id', 'bigint', (column) =>
      column.references('repositories.id').onDelete('cascade'),
    )
    .addColumn('policy', byteOrderedText(db), (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .addCheckConstraint('retention_policies_place', sql`account_id is null or repository_id is null`)
    .execute();
  for (const owner of ['account', 'repository']) {
    await db.schema
      .createIndex(`retention_policies_by_${owner}`)
      .on('retention_policies')
      .column(`${owner}_id`)
      .unique()
      .execute();
  }
  // When a manifest lost a tag: the condition of the other indexes of moves (0012), without new tags.
  await sql`
    create index changes_by_old_digest on changes (repository_id, old_digest, at)
    where tag is not null and old_digest is distinct from new_digest and old_digest is not null
  `.execute(db);
}
