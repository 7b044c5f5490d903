import { namespaceRange } from '../oci/name.ts';
import type { Db } from './prepare.ts';
import type { AccountKind, Role } from './schema.ts';

/** The holder of a grant: the id of an account or a team. */
export type Grantee = { readonly account: number } | { readonly team: number };

/** A grant for display: a role on the repositories that match a pattern, and its holder. */
export interface GrantRow {
  readonly pattern: string;
  readonly role: Role;
  readonly kind: Exclude<AccountKind, 'organisation'> | 'team';
  /** The holder's name; a team's with its organisation: `acme/dev`. */
  readonly name: string;
  readonly createdAt: number;
}

/** Grants the role, replacing the grantee's role for this pattern. */
export async function upsertGrant(
  db: Db,
  grant: { readonly pattern: string; readonly grantee: Grantee; readonly role: Role },
  now: number,
): Promise<void> {
  const { pattern, grantee, role } = grant;
  const columns =
    'team' in grantee ? (['team_id', 'pattern'] as const) : (['account_id', 'pattern'] as const);
  await db
    .insertInto('grants')
    .values({ pattern, ...idsOf(grantee), role, created_at: now })
    .onConflict((conflict) => conflict.columns(columns).doUpdateSet({ role }))
    .execute();
}

/** Deletes all grants in the namespace. */
export async function deleteGrantsBelow(db: Db, namespace: string): Promise<void> {
  const { low, high } = namespaceRange(namespace);
  await db.deleteFrom('grants').where('pattern', '>', low).where('pattern', '<', high).execute();
}

/** False when the grant does not exist. */
export async function deleteGrant(db: Db, pattern: string, grantee: Grantee): Promise<boolean> {
  const { account_id, team_id } = idsOf(grantee);
  const removed = await db
    .deleteFrom('grants')
    .where('pattern', '=', pattern)
    .where('account_id', 'is not distinct from', account_id)
    .where('team_id', 'is not distinct from', team_id)
    .returning('id')
    .execute();
  return removed.length > 0;
}

function idsOf(grantee: Grantee): { account_id: number | null; team_id: number | null } {
  return 'team' in grantee
    ? { account_id: null, team_id: grantee.team }
    : { account_id: grantee.account, team_id: null };
}

/** All grants, or the grantee's own, or those with this pattern, by pattern and age. */
export async function listGrants(
  db: Db,
  grantee?: Grantee | { readonly pattern: string },
): Promise<GrantRow[]> {
  const rows = await db
    .selectFrom('grants')
    .leftJoin('accounts', 'accounts.id', 'grants.account_id')
    .leftJoin('teams', 'teams.id', 'grants.team_id')
    .leftJoin('accounts as organisations', 'organisations.id', 'teams.organisation_id')
    .select([
      'grants.pattern',
      'grants.role',
      'grants.created_at as createdAt',
      'accounts.kind',
      'accounts.name',
      'organisations.name as organisation',
      'teams.name as team',
    ])
    .$if(grantee !== undefined, (query) => {
      if (grantee !== undefined && 'pattern' in grantee) {
        return query.where('grants.pattern', '=', grantee.pattern);
      }
      const { account_id, team_id } = idsOf(grantee as Grantee);
      return query
        .where('grants.account_id', 'is not distinct from', account_id)
        .where('grants.team_id', 'is not distinct from', team_id);
    })
    .orderBy('grants.pattern')
    .orderBy('grants.id')
    .execute();
  return rows.map(({ pattern, role, createdAt, kind, name, organisation, team }) => ({
    pattern,
    role,
    kind: (kind ?? 'team') as GrantRow['kind'],
    name: name ?? `${organisation}/${team}`,
    createdAt,
  }));
}
