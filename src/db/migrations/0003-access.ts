import { type Kysely, sql } from 'kysely';
import { byteOrderedText, identity } from '../dialect.ts';

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('repositories')
    .addColumn('visibility', 'text', (column) => column.notNull().defaultTo('private'))
    .execute();
  // For listing the few public repositories among many, in order of names.
  await db.schema
    .createIndex('repositories_by_visibility')
    .on('repositories')
    .columns(['visibility', 'name'])
    .execute();
  await db.schema
    .alterTable('uploads')
    .addColumn('principal', 'text', (column) => column.notNull().defaultTo(''))
    .execute();

  await db.schema
    .createTable('accounts')
    .addColumn('id', ...identity(db))
    .addColumn('name', byteOrderedText(db), (column) => column.notNull().unique())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('owner_id', 'bigint', (column) => column.references('accounts.id'))
    .addColumn('default_visibility', 'text', (column) => column.notNull().defaultTo('private'))
    .addColumn('disabled_at', 'bigint')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addCheckConstraint('accounts_kind', sql`kind in ('user', 'organisation', 'robot')`)
    .addCheckConstraint('accounts_owner', sql`(owner_id is not null) = (kind = 'robot')`)
    .execute();
  await db.schema.createIndex('accounts_by_owner').on('accounts').column('owner_id').execute();

  await db.schema
    .createTable('users')
    .addColumn('account_id', 'bigint', (column) =>
      column.primaryKey().notNull().references('accounts.id').onDelete('cascade'),
    )
    .addColumn('mail', 'text')
    .addColumn('password', 'text')
    .addColumn('password_changed_at', 'bigint', (column) => column.notNull())
    .addColumn('administrator', 'bigint', (column) => column.notNull())
    .addColumn('token_only', 'bigint', (column) => column.notNull())
    .execute();

  await db.schema
    .createTable('identities')
    .addColumn('issuer', byteOrderedText(db), (column) => column.notNull())
    .addColumn('subject', byteOrderedText(db), (column) => column.notNull())
    .addColumn('account_id', 'bigint', (column) =>
      column.notNull().references('accounts.id').onDelete('cascade'),
    )
    .addPrimaryKeyConstraint('identities_key', ['issuer', 'subject'])
    .execute();
  await db.schema.createIndex('identities_by_account').on('identities').column('account_id').execute();

  await db.schema
    .createTable('members')
    .addColumn('organisation_id', 'bigint', (column) =>
      column.notNull().references('accounts.id').onDelete('cascade'),
    )
    .addColumn('account_id', 'bigint', (column) =>
      column.notNull().references('accounts.id').onDelete('cascade'),
    )
    .addColumn('role', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('members_key', ['organisation_id', 'account_id'])
    .execute();
  await db.schema.createIndex('members_by_account').on('members').column('account_id').execute();

  await db.schema
    .createTable('teams')
    .addColumn('id', ...identity(db))
    .addColumn('organisation_id', 'bigint', (column) =>
      column.notNull().references('accounts.id').onDelete('cascade'),
    )
    .addColumn('name', byteOrderedText(db), (column) => column.notNull())
    .addColumn('sso_group', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addUniqueConstraint('teams_by_name', ['organisation_id', 'name'])
    .execute();
  await db.schema.createIndex('teams_by_group').on('teams').column('sso_group').execute();

  // An account may be in a team twice: added by hand, and by a group of the sign-on provider.
  await db.schema
    .createTable('team_members')
    .addColumn('team_id', 'bigint', (column) => column.notNull().references('teams.id').onDelete('cascade'))
    .addColumn('account_id', 'bigint', (column) =>
      column.notNull().references('accounts.id').onDelete('cascade'),
    )
    .addColumn('source', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('team_members_key', ['team_id', 'account_id', 'source'])
    .execute();
  await db.schema.createIndex('team_members_by_account').on('team_members').column('account_id').execute();

  await db.schema
    .createTable('grants')
    .addColumn('id', ...identity(db))
    .addColumn('pattern', byteOrderedText(db), (column) => column.notNull())
    .addColumn('account_id', 'bigint', (column) => column.references('accounts.id').onDelete('cascade'))
    .addColumn('team_id', 'bigint', (column) => column.references('teams.id').onDelete('cascade'))
    .addColumn('role', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addUniqueConstraint('grants_by_account', ['account_id', 'pattern'])
    .addUniqueConstraint('grants_by_team', ['team_id', 'pattern'])
    .addCheckConstraint('grants_subject', sql`(account_id is null) <> (team_id is null)`)
    .execute();

  await db.schema
    .createTable('access_tokens')
    .addColumn('id', ...identity(db))
    .addColumn('account_id', 'bigint', (column) =>
      column.notNull().references('accounts.id').onDelete('cascade'),
    )
    .addColumn('name', byteOrderedText(db), (column) => column.notNull())
    .addColumn('hash', byteOrderedText(db), (column) => column.notNull().unique())
    .addColumn('scopes', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('expires_at', 'bigint')
    .addColumn('revoked_at', 'bigint')
    .addColumn('last_used_at', 'bigint')
    .addColumn('last_used_from', 'text')
    .execute();
  await db.schema.createIndex('access_tokens_by_account').on('access_tokens').column('account_id').execute();

  await db.schema
    .createTable('signing_keys')
    .addColumn('id', byteOrderedText(db), (column) => column.primaryKey().notNull())
    .addColumn('private_key', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('retired_at', 'bigint')
    .execute();

  await db.schema
    .createTable('trusts')
    .addColumn('id', ...identity(db))
    .addColumn('organisation_id', 'bigint', (column) =>
      column.notNull().references('accounts.id').onDelete('cascade'),
    )
    .addColumn('name', byteOrderedText(db), (column) => column.notNull())
    .addColumn('issuer', 'text', (column) => column.notNull())
    .addColumn('audience', 'text', (column) => column.notNull())
    .addColumn('keys', 'text')
    .addColumn('claims', 'text', (column) => column.notNull())
    .addColumn('scopes', 'text', (column) => column.notNull())
    .addColumn('lifetime', 'bigint', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .addUniqueConstraint('trusts_by_name', ['organisation_id', 'name'])
    .execute();

  await db.schema
    .createTable('sessions')
    .addColumn('hash', 'text', (column) => column.primaryKey().notNull())
    .addColumn('account_id', 'bigint', (column) =>
      column.notNull().references('accounts.id').onDelete('cascade'),
    )
    .addColumn('token_id', 'bigint', (column) => column.references('access_tokens.id').onDelete('cascade'))
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema.createIndex('sessions_by_expiry').on('sessions').column('expires_at').execute();

  // No foreign keys: events outlive their account and repository.
  await db.schema
    .createTable('audit_events')
    .addColumn('id', ...identity(db))
    .addColumn('at', 'bigint', (column) => column.notNull())
    .addColumn('action', 'text', (column) => column.notNull())
    .addColumn('allowed', 'bigint', (column) => column.notNull())
    .addColumn('actor', 'text', (column) => column.notNull())
    .addColumn('actor_name', 'text', (column) => column.notNull())
    .addColumn('credential', 'text', (column) => column.notNull())
    .addColumn('address', 'text')
    .addColumn('repository', 'text')
    .addColumn('tag', 'text')
    .addColumn('digest', byteOrderedText(db))
    .addColumn('status', 'bigint')
    .addColumn('error', 'text')
    .addColumn('detail', 'text')
    .addColumn('request_id', 'text')
    .execute();
  await db.schema.createIndex('audit_events_by_time').on('audit_events').columns(['at', 'id']).execute();

  await db.schema
    .createTable('pull_counts')
    .addColumn('subject', 'text', (column) => column.notNull())
    .addColumn('window_start', 'bigint', (column) => column.notNull())
    .addColumn('count', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('pull_counts_key', ['subject', 'window_start'])
    .execute();
}
