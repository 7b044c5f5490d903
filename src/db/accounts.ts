import type { AccountName } from '../oci/name.ts';
import { deleteGrantsBelow } from './grants.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';
import type { AccountKind, Visibility } from './schema.ts';

/** A user, an organisation or a robot. */
export interface Account {
  readonly id: number;
  readonly name: AccountName;
  readonly kind: AccountKind;
  /** The owner of a robot's namespace; null for users and organisations. */
  readonly ownerId: number | null;
  /** The visibility of new repositories of the namespace. */
  readonly defaultVisibility: Visibility;
  readonly disabledAt: number | null;
  readonly createdAt: number;
}

const columns = [
  'accounts.id',
  'accounts.name',
  'accounts.kind',
  'accounts.owner_id as ownerId',
  'accounts.default_visibility as defaultVisibility',
  'accounts.disabled_at as disabledAt',
  'accounts.created_at as createdAt',
] as const;

const selectByName = prepare((db, p: Params<{ name: string }>) =>
  db.selectFrom('accounts').select(columns).where('name', '=', p('name')),
);

export function findAccount(db: Db, name: AccountName): Promise<Account | undefined> {
  return first(selectByName(db, { name })) as Promise<Account | undefined>;
}

const selectById = prepare((db, p: Params<{ id: number }>) =>
  db.selectFrom('accounts').select(columns).where('id', '=', p('id')),
);

export function findAccountById(db: Db, id: number): Promise<Account | undefined> {
  return first(selectById(db, { id })) as Promise<Account | undefined>;
}

/** Returns the new account's id; `undefined` if the name is taken. */
export async function insertAccount(
  db: Db,
  account: {
    readonly name: AccountName;
    readonly kind: AccountKind;
    readonly ownerId?: number;
    readonly defaultVisibility?: Visibility;
    /** The user who created the namespace by pushing to it. */
    readonly claimedBy?: number;
  },
  now: number,
): Promise<number | undefined> {
  const { name, kind, ownerId = null, defaultVisibility = 'private', claimedBy = null } = account;
  const row = await db
    .insertInto('accounts')
    .values({
      ...{ name, kind, owner_id: ownerId, claimed_by: claimedBy },
      ...{ default_visibility: defaultVisibility, created_at: now },
    })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .returning('id')
    .executeTakeFirst();
  return row?.id;
}

const selectClaimed = prepare((db, p: Params<{ user: number }>) =>
  db
    .selectFrom('accounts')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('claimed_by', '=', p('user')),
);

/** Number of existing namespaces that the user created by pushing. */
export async function countClaimed(db: Db, user: number): Promise<number> {
  return Number((await first(selectClaimed(db, { user })))?.count ?? 0);
}

const selectPage = prepare((db, p: Params<{ kind: string; after: string; limit: number }>) =>
  db
    .selectFrom('accounts')
    .select(columns)
    .where('kind', '=', p('kind') as never)
    .where('name', '>', p('after'))
    .orderBy('name')
    .limit(p('limit')),
);

/** Accounts of one kind with names after `after` in byte order, at most `limit`. */
export function listAccounts(db: Db, kind: AccountKind, after: string, limit: number): Promise<Account[]> {
  return selectPage(db, { kind, after, limit }) as Promise<Account[]>;
}

const selectRobots = prepare((db, p: Params<{ owner: number; after: string; limit: number }>) =>
  db
    .selectFrom('accounts')
    .select(columns)
    .where('owner_id', '=', p('owner'))
    .where('name', '>', p('after'))
    .orderBy('name')
    .limit(p('limit')),
);

/** The account's robots with names after `after` in byte order, at most `limit`. */
export function listRobotsOf(db: Db, owner: number, after: string, limit: number): Promise<Account[]> {
  return selectRobots(db, { owner, after, limit }) as Promise<Account[]>;
}

/** Disables the account, or enables it if `at` is null. An account that is already disabled keeps its first time. */
export async function setDisabled(db: Db, id: number, at: number | null): Promise<void> {
  await db
    .updateTable('accounts')
    .set({ disabled_at: at })
    .where('id', '=', id)
    .$if(at !== null, (query) => query.where('disabled_at', 'is', null))
    .execute();
}

export async function setDefaultVisibility(db: Db, id: number, visibility: Visibility): Promise<void> {
  await db.updateTable('accounts').set({ default_visibility: visibility }).where('id', '=', id).execute();
}

/**
 * Deletes the account, its robots, and all that belongs to them: tokens, teams, trusts, identities, their grants and all grants in its
 * namespace, so that old grants do not apply to a later account of the same name.
 */
export async function deleteAccount(db: Db, { id, name }: Pick<Account, 'id' | 'name'>): Promise<void> {
  await deleteGrantsBelow(db, name);
  await db.deleteFrom('accounts').where('owner_id', '=', id).execute();
  await db.deleteFrom('accounts').where('id', '=', id).execute();
}
