import type { Namespace } from '../oci/name.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';
import type { MemberRole } from './schema.ts';

/** A member of an organisation, with the role on its whole namespace. */
export interface Member {
  readonly id: number;
  readonly name: Namespace;
  readonly role: MemberRole;
}

/** Adds the user as a member, or changes the member's role. */
export async function setMember(
  db: Db,
  organisation: number,
  account: number,
  role: MemberRole,
): Promise<void> {
  await db
    .insertInto('members')
    .values({ organisation_id: organisation, account_id: account, role })
    .onConflict((conflict) => conflict.columns(['organisation_id', 'account_id']).doUpdateSet({ role }))
    .execute();
}

/** False when the account was not a member. */
export async function removeMember(db: Db, organisation: number, account: number): Promise<boolean> {
  const removed = await db
    .deleteFrom('members')
    .where('organisation_id', '=', organisation)
    .where('account_id', '=', account)
    .returning('account_id')
    .execute();
  return removed.length > 0;
}

const selectRole = prepare((db, p: Params<{ organisation: number; account: number }>) =>
  db
    .selectFrom('members')
    .select('role')
    .where('organisation_id', '=', p('organisation'))
    .where('account_id', '=', p('account')),
);

/** The member's role; `undefined` if the account is not a member. */
export async function findMemberRole(
  db: Db,
  organisation: number,
  account: number,
): Promise<MemberRole | undefined> {
  return (await first(selectRole(db, { organisation, account })))?.role;
}

const selectMembers = prepare((db, p: Params<{ organisation: number; after: string; limit: number }>) =>
  db
    .selectFrom('members')
    .innerJoin('accounts', 'accounts.id', 'members.account_id')
    .select(['accounts.id', 'accounts.name', 'members.role'])
    .where('members.organisation_id', '=', p('organisation'))
    .where('accounts.name', '>', p('after'))
    .orderBy('accounts.name')
    .limit(p('limit')),
);

/** Members with names after `after` in byte order, at most `limit`. */
export function listMembers(db: Db, organisation: number, after: string, limit: number): Promise<Member[]> {
  return selectMembers(db, { organisation, after, limit }) as Promise<Member[]>;
}

const selectMemberships = prepare((db, p: Params<{ account: number }>) =>
  db
    .selectFrom('members')
    .innerJoin('accounts', 'accounts.id', 'members.organisation_id')
    .select(['accounts.id', 'accounts.name', 'members.role'])
    .where('members.account_id', '=', p('account'))
    .orderBy('accounts.name'),
);

/** The user's organisations, as `id` and `name`, and the role in each. */
export function listMemberships(db: Db, account: number): Promise<Member[]> {
  return selectMemberships(db, { account }) as Promise<Member[]>;
}
