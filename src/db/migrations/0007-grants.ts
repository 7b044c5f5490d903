import { type Kysely, sql } from 'kysely';
import { byteOrderedText, isPostgres } from '../dialect.ts';

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('trusts')
    .addColumn('own_issuer', 'bigint', (column) => column.notNull().defaultTo(0))
    .execute();
  // Existing trusts were made without this confirmation, so they count as confirmed. Issuers known to be shared are checked anyway.
  await sql`update trusts set own_issuer = 1`.execute(db);

  await db.schema.alterTable('repository_blobs').addColumn('session', 'text').execute();

  await db.schema
    .alterTable('accounts')
    .addColumn('claimed_by', 'bigint', (column) => column.references('accounts.id').onDelete('set null'))
    .execute();
  await db.schema.createIndex('accounts_by_claimant').on('accounts').column('claimed_by').execute();

  await db.schema.alterTable('identities').addColumn('name', byteOrderedText(db)).execute();
  await db.schema.createIndex('identities_by_name').on('identities').column('name').execute();

  await nameNamespaces(db as Kysely<Grants>);
}

interface Grants {
  grants: {
    id: number;
    pattern: string;
    account_id: number | null;
    team_id: number | null;
    role: string;
    created_at: number;
  };
  accounts: { name: string; kind: string };
  repositories: { name: string };
}

/**
 * Replaces a grant with a wildcard in the namespace (`acme*\/**`) by a grant for each existing namespace that it matches: no existing
 * right is lost, and namespaces created later are not included.
 */
export async function nameNamespaces(db: Kysely<Grants>): Promise<void> {
  const grants = await db.selectFrom('grants').selectAll().where('pattern', 'like', '%*%/%').execute();
  for (const { id, ...grant } of grants) {
    const [first, ...rest] = grant.pattern.split('/') as [string, ...string[]];
    if (!/[^*]/.test(first) || !first.includes('*')) continue;
    for (const namespace of await namespacesLike(db, first)) {
      const pattern = [namespace, ...rest].join('/');
      const same = await db
        .selectFrom('grants')
        .select(['id', 'role'])
        .where('pattern', '=', pattern)
        .where('account_id', 'is not distinct from', grant.account_id)
        .where('team_id', 'is not distinct from', grant.team_id)
        .executeTakeFirst();
      if (same === undefined) {
        await db
          .insertInto('grants')
          .values({ ...grant, pattern } as never)
          .execute();
      } else if (roles.indexOf(same.role) < roles.indexOf(grant.role)) {
        await db.updateTable('grants').set({ role: grant.role }).where('id', '=', same.id).execute();
      }
    }
    await db.deleteFrom('grants').where('id', '=', id).execute();
  }
}

/** Each role includes those before it. */
const roles = ['read', 'write', 'maintain', 'admin'];

/** Names of accounts, and first components of repository names, that match the first component of a pattern. */
async function namespacesLike(db: Kysely<Grants>, component: string): Promise<Set<string>> {
  const like = component.replaceAll('_', '\\_').replaceAll('*', '%');
  const accounts = db.selectFrom('accounts').select('name').where('kind', '<>', 'robot').as('named');
  const first = isPostgres(db)
    ? sql<string>`split_part(name, '/', 1)`
    : sql<string>`substr(name, 1, instr(name, '/') - 1)`;
  const firsts = db
    .selectFrom('repositories')
    .select(first.as('name'))
    .where('name', 'like', '%/%')
    .as('named');
  const found = new Set<string>();
  for (const names of [accounts, firsts]) {
    const rows = await db
      .selectFrom(names)
      .select('named.name')
      .distinct()
      .where(sql<boolean>`named.name like ${like} escape '\\'`)
      .execute();
    for (const { name } of rows) found.add(name);
  }
  return found;
}
