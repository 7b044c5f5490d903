// Reads everything that determines the rights of an account or a job. One query each, because every push needs it.
import { sql } from 'kysely';
import type { OriginState } from './origins.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';
import { aliasUntil, idOfName, type NamedRepository, toNamed } from './repository-names.ts';
import type { AccountKind, Role } from './schema.ts';

/** The current state of an account and of one of its access tokens. */
export interface AccountState extends OriginState {
  readonly name: string;
  readonly kind: AccountKind;
  readonly disabled_at: number | null;
  /** When the owner of a robot's namespace was disabled. */
  readonly owner_disabled_at: number | null;
  /** 0 or 1; null if the account is not a user. */
  readonly administrator: number | null;
  /** The token's id; null if the account has no such token. */
  readonly token: number | null;
  readonly scopes: string | null;
}

/** A role on the repositories that match a pattern. */
export interface HeldRole {
  readonly pattern: string;
  readonly role: Role;
}

interface Question {
  account: number;
  /** `access_tokens.id` */
  token: number | null;
  /** The name of a repository to find as well, or an alias. */
  repository: string | null;
  /** Milliseconds since 1970. */
  now: number;
}

/** Roles by membership, by grant and by a team's grant; memberships and teams of disabled organisations give none. */
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

/** A row for each role, or one without a role. Each has the account's columns: a second query would cost a round trip on PostgreSQL. */
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
    .leftJoin('repositories', (join) => join.on('repositories.id', '=', idOfName(p('repository'), p('now'))))
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
      'repositories.id as repositoryId',
      'repositories.name as repositoryName',
      'repositories.visibility',
      aliasUntil(p('repository')).as('aliasUntil'),
      'held.pattern',
      'held.role',
    ])
    .where('accounts.id', '=', p('account')),
);

export interface FoundAccount {
  readonly account: AccountState;
  readonly roles: readonly HeldRole[];
  /** `undefined` when the name stands for no repository. */
  readonly repository: NamedRepository | undefined;
}

/** The account's current state and roles, and the repository; `undefined` when the account was deleted. */
export async function findAccountState(db: Db, question: Question): Promise<FoundAccount | undefined> {
  const rows = await selectAccount(db, question);
  const [account] = rows;
  if (account === undefined) return undefined;
  const { repositoryId: id, repositoryName: name, visibility, aliasUntil } = account;
  return {
    account,
    roles: rows.filter((row) => row.pattern !== null) as unknown as HeldRole[],
    repository:
      id === null
        ? undefined
        : toNamed({ id, name, visibility, aliasUntil } as Parameters<typeof toNamed>[0]),
  };
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

export interface TrustState {
  readonly issuer: string;
  /** JSON object: claim → pattern. */
  readonly claims: string;
  /** An administrator has confirmed that no other party has jobs at the issuer. */
  readonly ownIssuer: boolean;
  readonly scopes: string;
  /** Milliseconds for which a logged-in job may fetch tokens. */
  readonly lifetime: number;
  readonly updated_at: number;
  /** The name of the organisation of the trust. */
  readonly organisation: string;
  readonly disabled_at: number | null;
}

/** The current state of a trust; `undefined` when it was deleted. */
export async function findTrustState(db: Db, trust: number): Promise<TrustState | undefined> {
  const row = await first(selectTrust(db, { trust }));
  return row && { ...row, ownIssuer: row.ownIssuer === 1 };
}

/** The scopes of the organisation's trusts, by name. */
export function listTrustScopes(db: Db, organisation: number): Promise<{ name: string; scopes: string }[]> {
  return db
    .selectFrom('trusts')
    .select(['name', 'scopes'])
    .where('organisation_id', '=', organisation)
    .orderBy('name')
    .execute();
}
