import { type Kysely, sql } from 'kysely';
import { byteOrderedText, identity } from '../dialect.ts';

/**
 * Adds the origin to sessions and to access tokens created in one: a password, an identity or an access token. Identities get an id,
 * so that an identity that is unlinked and linked again has another id.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('identities').renameTo('identities_without_id').execute();
  await db.schema
    .createTable('identities')
    .addColumn('id', ...identity(db))
    .addColumn('issuer', byteOrderedText(db), (column) => column.notNull())
    .addColumn('subject', byteOrderedText(db), (column) => column.notNull())
    .addColumn('account_id', 'bigint', (column) =>
      column.notNull().references('accounts.id').onDelete('cascade'),
    )
    .addUniqueConstraint('identities_by_subject', ['issuer', 'subject'])
    .execute();
  await sql`insert into identities (issuer, subject, account_id)
    select issuer, subject, account_id from identities_without_id order by account_id, issuer, subject`.execute(
    db,
  );
  await db.schema.dropTable('identities_without_id').execute();
  await db.schema.createIndex('identities_by_account').on('identities').column('account_id').execute();

  for (const column of ['origin_password', 'origin_identity']) {
    await db.schema.alterTable('access_tokens').addColumn(column, 'bigint').execute();
  }
  await db.schema
    .alterTable('access_tokens')
    .addColumn('origin_token', 'bigint', (column) =>
      column.references('access_tokens.id').onDelete('cascade'),
    )
    .execute();
  await db.schema
    .createIndex('access_tokens_by_origin')
    .on('access_tokens')
    .column('origin_token')
    .where(sql.ref('origin_token'), 'is not', null)
    .execute();

  // For finding the highest cost of imported hashes, which each password check needs.
  await sql`create index users_by_bcrypt_cost on users (substr(password, 5, 2))
    where substr(password, 1, 2) = '$2'`.execute(db);

  // The origin of existing sessions is unknown: users must sign in again.
  await db.schema.dropTable('sessions').execute();
  await db.schema
    .createTable('sessions')
    .addColumn('hash', 'text', (column) => column.primaryKey().notNull())
    .addColumn('account_id', 'bigint', (column) =>
      column.notNull().references('accounts.id').onDelete('cascade'),
    )
    .addColumn('origin_password', 'bigint')
    .addColumn('origin_identity', 'bigint')
    .addColumn('origin_token', 'bigint', (column) =>
      column.references('access_tokens.id').onDelete('cascade'),
    )
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .addCheckConstraint(
      'sessions_origin',
      sql`coalesce(origin_password, origin_identity, origin_token) is not null`,
    )
    .execute();
  await db.schema.createIndex('sessions_by_expiry').on('sessions').column('expires_at').execute();
}
