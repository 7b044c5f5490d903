// Identities of the sign-on provider, and teams filled by its groups.
import { inJsonList } from './dialect.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';

const selectIdentity = prepare((db, p: Params<{ issuer: string; subject: string }>) =>
  db
    .selectFrom('identities')
    .select(['id', 'account_id as account'])
    .where('issuer', '=', p('issuer'))
    .where('subject', '=', p('subject')),
);

/** The identity with this issuer and subject, and its account. */
export function findIdentity(
  db: Db,
  issuer: string,
  subject: string,
): Promise<{ id: number; account: number } | undefined> {
  return first(selectIdentity(db, { issuer, subject }));
}

/** Records the identity's current name at the provider. */
export async function renameIdentity(db: Db, id: number, name: string | null): Promise<void> {
  await db.updateTable('identities').set({ name }).where('id', '=', id).execute();
}

/** Returns the new identity's id. */
export async function insertIdentity(
  db: Db,
  issuer: string,
  subject: string,
  account: number,
): Promise<number> {
  const { id } = await db
    .insertInto('identities')
    .values({ issuer, subject, account_id: account })
    .returning('id')
    .executeTakeFirstOrThrow();
  return id;
}

/** False when the account has no such identity. */
export async function deleteIdentity(
  db: Db,
  account: number,
  issuer: string,
  subject: string,
): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('identities')
    .where('account_id', '=', account)
    .where('issuer', '=', issuer)
    .where('subject', '=', subject)
    .executeTakeFirstOrThrow();
  return numDeletedRows > 0n;
}

export interface IdentityRow {
  readonly user: string;
  readonly issuer: string;
  readonly subject: string;
}

/** All identities, or the account's, by user and age. */
export function listIdentities(db: Db, account?: number): Promise<IdentityRow[]> {
  return db
    .selectFrom('identities')
    .innerJoin('accounts', 'accounts.id', 'identities.account_id')
    .select(['accounts.name as user', 'identities.issuer', 'identities.subject'])
    .$if(account !== undefined, (query) => query.where('accounts.id', '=', account as number))
    .orderBy('accounts.name')
    .orderBy('identities.id')
    .execute();
}

const selectTeams = prepare((db, p: Params<{ groups: string }>) =>
  db
    .selectFrom('teams')
    .innerJoin('accounts', 'accounts.id', 'teams.organisation_id')
    .select([
      'teams.id',
      'teams.name',
      'teams.organisation_id as organisationId',
      'accounts.name as organisation',
    ])
    .where('sso_group', 'in', inJsonList(db, p('groups'))),
);

/** The teams that one of the groups fills, with their organisation's id and name. */
export function findTeamsOfGroups(
  db: Db,
  groups: readonly string[],
): Promise<{ id: number; name: string; organisationId: number; organisation: string }[]> {
  return selectTeams(db, { groups: JSON.stringify(groups) });
}
