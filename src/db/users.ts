import { sql } from 'kysely';
import type { Namespace } from '../oci/name.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';

/** A person's account, and how they log in. */
export interface User {
  readonly id: number;
  readonly name: Namespace;
  readonly disabledAt: number | null;
  readonly mail: string | null;
  /** A hash in PHC or bcrypt's form; `null`: nobody logs in with a password. */
  readonly password: string | null;
  /** Strictly later with each new password: what was granted for an earlier one ends with it. */
  readonly passwordChangedAt: number;
  readonly administrator: boolean;
  /** The password alone is not enough for a client. */
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

/** Makes an account of kind `user` a person's. */
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

/** What is `undefined` stays. */
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

/** A new password, or none; whatever was granted for the one before ends, also when a clock went back in between. */
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

/** The same password under another hash: nothing ends. Nothing happens when the hash is no longer `from`. */
export async function replacePasswordHash(db: Db, id: number, from: string, to: string): Promise<void> {
  await db
    .updateTable('users')
    .set({ password: to })
    .where('account_id', '=', id)
    .where('password', '=', from)
    .execute();
}

/** `$2y$10$…`: the form's first letters, and its cost; `users_by_bcrypt_cost` is of these. */
const selectDearestBcrypt = prepare((db) =>
  db
    .selectFrom('users')
    .select((select) => select.fn.max(sql<string>`substr(password, 5, 2)`).as('cost'))
    .where(sql<boolean>`substr(password, 1, 2) = '$2'`),
);

/** The highest cost among the bcrypt hashes that users still have, as those write it; `undefined` when nobody has one. */
export async function findDearestBcrypt(db: Db): Promise<string | undefined> {
  return (await first(selectDearestBcrypt(db, {})))?.cost ?? undefined;
}

/** How many administrators could act now. */
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
