import { sql } from 'kysely';
import type { Namespace } from '../oci/name.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';

/** A user's account and password. */
export interface User {
  readonly id: number;
  readonly name: Namespace;
  readonly disabledAt: number | null;
  readonly mail: string | null;
  /** A hash in PHC or bcrypt format; `null`: no login with a password. */
  readonly password: string | null;
  /** Strictly increases with each new password: sessions and tokens of an earlier one are invalid. */
  readonly passwordChangedAt: number;
  readonly administrator: boolean;
  /** Clients cannot log in with the password, only with access tokens. */
  readonly tokenOnly: boolean;
}

type UserRow = Omit<User, 'name' | 'administrator' | 'tokenOnly'> & {
  readonly name: string;
  readonly administrator: number;
  readonly tokenOnly: number;
};

const columns = [
  'accounts.id',
  'accounts.name',
  'accounts.disabled_at as disabledAt',
  'users.mail',
  'users.password',
  'users.password_changed_at as passwordChangedAt',
  'users.administrator',
  'users.token_only as tokenOnly',
] as const;

function asUser(row: UserRow): User {
  return {
    ...row,
    name: row.name as Namespace,
    administrator: row.administrator === 1,
    tokenOnly: row.tokenOnly === 1,
  };
}

const selectByName = prepare((db, p: Params<{ name: string }>) =>
  db
    .selectFrom('accounts')
    .innerJoin('users', 'users.account_id', 'accounts.id')
    .select(columns)
    .where('accounts.name', '=', p('name')),
);

export async function findUser(db: Db, name: Namespace): Promise<User | undefined> {
  const row = await first(selectByName(db, { name }));
  return row && asUser(row);
}

const selectById = prepare((db, p: Params<{ id: number }>) =>
  db
    .selectFrom('accounts')
    .innerJoin('users', 'users.account_id', 'accounts.id')
    .select(columns)
    .where('accounts.id', '=', p('id')),
);

export async function findUserById(db: Db, id: number): Promise<User | undefined> {
  const row = await first(selectById(db, { id }));
  return row && asUser(row);
}

const selectPage = prepare((db, p: Params<{ after: string; limit: number }>) =>
  db
    .selectFrom('accounts')
    .innerJoin('users', 'users.account_id', 'accounts.id')
    .select(columns)
    .where('accounts.name', '>', p('after'))
    .orderBy('accounts.name')
    .limit(p('limit')),
);

/** Users with names after `after` in byte order, at most `limit`. */
export async function listUsers(db: Db, after: string, limit: number): Promise<User[]> {
  return (await selectPage(db, { after, limit })).map(asUser);
}

/** Adds the user's data to an account of kind `user`. */
export async function insertUser(
  db: Db,
  id: number,
  user: Pick<User, 'mail' | 'password' | 'administrator' | 'tokenOnly'>,
  now: number,
): Promise<void> {
  await db
    .insertInto('users')
    .values({
      account_id: id,
      mail: user.mail,
      password: user.password,
      password_changed_at: now,
      administrator: Number(user.administrator),
      token_only: Number(user.tokenOnly),
    })
    .execute();
}

/** `undefined` fields are not changed. */
export async function updateUser(
  db: Db,
  id: number,
  { mail, administrator, tokenOnly }: Partial<Pick<User, 'mail' | 'administrator' | 'tokenOnly'>>,
): Promise<void> {
  const changes = {
    ...(mail !== undefined && { mail }),
    ...(administrator !== undefined && { administrator: Number(administrator) }),
    ...(tokenOnly !== undefined && { token_only: Number(tokenOnly) }),
  };
  if (Object.keys(changes).length === 0) return;
  await db.updateTable('users').set(changes).where('account_id', '=', id).execute();
}

/** Sets or removes the password. Ends sessions and tokens of the former one, even if the clock was set back in between. */
export async function setPassword(db: Db, id: number, hash: string | null, now: number): Promise<void> {
  await db
    .updateTable('users')
    .set((column) => ({
      password: hash,
      password_changed_at: column
        .case()
        .when('password_changed_at', '>=', now)
        .then(column('password_changed_at', '+', 1))
        .else(now)
        .end(),
    }))
    .where('account_id', '=', id)
    .execute();
}

/** Replaces the hash of the same password, without ending sessions. Does nothing when the hash is no longer `from`. */
export async function replacePasswordHash(db: Db, id: number, from: string, to: string): Promise<void> {
  await db
    .updateTable('users')
    .set({ password: to })
    .where('account_id', '=', id)
    .where('password', '=', from)
    .execute();
}

/** `$2y$10$…`: prefix and cost, as in the index `users_by_bcrypt_cost`. */
const selectHighestBcryptCost = prepare((db) =>
  db
    .selectFrom('users')
    .select((select) => select.fn.max(sql<string>`substr(password, 5, 2)`).as('cost'))
    .where(sql<boolean>`substr(password, 1, 2) = '$2'`),
);

/** The highest cost of all users' bcrypt hashes, as two digits; `undefined` if there are none. */
export async function findHighestBcryptCost(db: Db): Promise<string | undefined> {
  return (await first(selectHighestBcryptCost(db, {})))?.cost ?? undefined;
}

/** Number of administrators that are not disabled. */
export async function countEnabledAdministrators(db: Db): Promise<number> {
  const { count } = await db
    .selectFrom('accounts')
    .innerJoin('users', 'users.account_id', 'accounts.id')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('users.administrator', '=', 1)
    .where('accounts.disabled_at', 'is', null)
    .executeTakeFirstOrThrow();
  return Number(count);
}
