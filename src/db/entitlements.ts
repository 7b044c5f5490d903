// Everything that says what an account or a job may do, each in one query: it is asked for at every push.
import { sql } from 'kysely';
import type { OriginStanding } from './origins.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';
import type { AccountKind, Role } from './schema.ts';

/** An account, with the access token that was asked about where it is one of the account's. */
export interface AccountStanding extends OriginStanding {
  readonly name: string;
  readonly kind: AccountKind;
  readonly disabled_at: number | null;
  /** When the namespace that a robot works for was disabled. */
  readonly owner_disabled_at: number | null;
  /** 0 or 1; null for who is no user. */
  readonly administrator: number | null;
  /** The token's id; null when there is none of that id. */
  readonly token: number | null;
  readonly scopes: string | null;
}

/** A role on what a pattern matches. */
export interface HeldRole {
  readonly pattern: string;
  readonly role: Role;
}

interface Question {
  account: number;
  token: number | null;
}

/** By membership, by grant, and by grant to a team; an organisation that is disabled gives its members and teams nothing. */
function heldRoles(db: Db, account: Params<Question>) {
  const memberships = db
    .selectFrom('members')
    .innerJoin('accounts as organisations', 'organisations.id', 'members.organisation_id')
    .select([sql<string>`organisations.name || '/**'`.as('pattern'), 'members.role'])
    .where('members.account_id', '=', account('account'))
    .where('members.role', '<>', 'none')
    .where('organisations.disabled_at', 'is', null);
  const granted = db
    .selectFrom('grants')
    .select(['grants.pattern', 'grants.role'])
    .where('grants.account_id', '=', account('account'));
  const grantedToTeams = db
    .selectFrom('team_members')
    .innerJoin('teams', 'teams.id', 'team_members.team_id')
    .innerJoin('accounts as organisations', 'organisations.id', 'teams.organisation_id')
    .innerJoin('grants', 'grants.team_id', 'teams.id')
    .select(['grants.pattern', 'grants.role'])
    .where('team_members.account_id', '=', account('account'))
    .where('organisations.disabled_at', 'is', null);
  return memberships.union(granted).union(grantedToTeams);
}

/** The account's columns stand in each row, of which there is one at least: on PostgreSQL a second query is a second round trip. */
const selectAccount = prepare((db, p: Params<Question>) =>
  db
    .selectFrom('accounts')
    .leftJoin('users', 'users.account_id', 'accounts.id')
    .leftJoin('accounts as owners', 'owners.id', 'accounts.owner_id')
    .leftJoin('access_tokens', (join) =>
      join.onRef('access_tokens.account_id', '=', 'accounts.id').on('access_tokens.id', '=', p('token')),
    )
    .leftJoin('identities', (join) =>
      join
        .onRef('identities.id', '=', 'access_tokens.origin_identity')
        .onRef('identities.account_id', '=', 'accounts.id'),
    )
    .leftJoin(heldRoles(db, p).as('held'), (join) => join.onTrue())
    .select([
      'accounts.name',
      'accounts.kind',
      'accounts.disabled_at',
      'owners.disabled_at as owner_disabled_at',
      'users.administrator',
      'users.password_changed_at as passwordChangedAt',
      'users.token_only as tokenOnly',
      'access_tokens.id as token',
      'access_tokens.scopes',
      'access_tokens.expires_at as expiresAt',
      'access_tokens.revoked_at as revokedAt',
      'access_tokens.origin_password as originPassword',
      'access_tokens.origin_identity as originIdentity',
      'identities.id as identity',
      'held.pattern',
      'held.role',
    ])
    .where('accounts.id', '=', p('account')),
);

/** The account as it stands, and its roles; `undefined` when it is gone. */
export async function findAccountStanding(
  db: Db,
  account: number,
  token: number | null,
): Promise<{ account: AccountStanding; roles: readonly HeldRole[] } | undefined> {
  const rows = await selectAccount(db, { account, token });
  const [standing] = rows;
  if (standing === undefined) return undefined;
  return { account: standing, roles: rows.filter((row) => row.pattern !== null) as unknown as HeldRole[] };
}

const selectTrust = prepare((db, p: Params<{ trust: number }>) =>
  db
    .selectFrom('trusts')
    .innerJoin('accounts', 'accounts.id', 'trusts.organisation_id')
    .select(['trusts.issuer', 'trusts.claims', 'trusts.own_issuer as ownIssuer'])
    .select(['trusts.scopes', 'trusts.lifetime', 'trusts.updated_at'])
    .select(['accounts.name as organisation', 'accounts.disabled_at'])
    .where('trusts.id', '=', p('trust')),
);

export interface TrustStanding {
  readonly issuer: string;
  /** JSON object: claim → pattern. */
  readonly claims: string;
  /** An administrator has said that all jobs of the issuer are theirs. */
  readonly ownIssuer: boolean;
  readonly scopes: string;
  /** Milliseconds for which a job that logged in may fetch tokens. */
  readonly lifetime: number;
  readonly updated_at: number;
  /** The name of the organisation that trusts. */
  readonly organisation: string;
  readonly disabled_at: number | null;
}

/** What jobs that are let in by a trust may do; `undefined` when it is gone. */
export async function findTrustStanding(db: Db, trust: number): Promise<TrustStanding | undefined> {
  const row = await first(selectTrust(db, { trust }));
  return row && { ...row, ownIssuer: row.ownIssuer === 1 };
}

/** What each of the organisation's trusts lets jobs do, by name. */
export function listTrustScopes(db: Db, organisation: number): Promise<{ name: string; scopes: string }[]> {
  return db
    .selectFrom('trusts')
    .select(['name', 'scopes'])
    .where('organisation_id', '=', organisation)
    .orderBy('name')
    .execute();
}
