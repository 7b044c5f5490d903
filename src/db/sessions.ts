import type { Namespace } from '../oci/name.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';

export interface Session {
  readonly account: number;
  readonly name: Namespace;
}

const select = prepare((db, p: Params<{ hash: string; now: number }>) =>
  db
    .selectFrom('sessions')
    .innerJoin('accounts', 'accounts.id', 'sessions.account_id')
    .innerJoin('users', 'users.account_id', 'accounts.id')
    .leftJoin('access_tokens', 'access_tokens.id', 'sessions.token_id')
    .select(['accounts.id as account', 'accounts.name'])
    .where('sessions.hash', '=', p('hash'))
    .where('sessions.expires_at', '>', p('now'))
    .where('accounts.disabled_at', 'is', null)
    .where('access_tokens.revoked_at', 'is', null)
    .where((where) =>
      where.or([
        where('access_tokens.expires_at', 'is', null),
        where('access_tokens.expires_at', '>', p('now')),
      ]),
    )
    // Who had the former password may have been somebody else.
    .whereRef('users.password_changed_at', '<=', 'sessions.created_at'),
);

/** Who is signed on in the browser that holds what `hash` is the SHA-256 of; `undefined` when nobody is, or may be any more. */
export function findSession(db: Db, hash: string, now: number): Promise<Session | undefined> {
  return first(select(db, { hash, now })) as Promise<Session | undefined>;
}

export async function insertSession(
  db: Db,
  session: {
    readonly hash: string;
    readonly account: number;
    /** The access token that it was begun with, if it was one. */
    readonly token: number | undefined;
    readonly now: number;
    readonly until: number;
  },
): Promise<void> {
  const { hash, account, token = null, now, until } = session;
  await db
    .insertInto('sessions')
    .values({ hash, account_id: account, token_id: token, created_at: now, expires_at: until })
    .execute();
}

export async function deleteSession(db: Db, hash: string): Promise<void> {
  await db.deleteFrom('sessions').where('hash', '=', hash).execute();
}

/** How many had ended. */
export async function deleteExpiredSessions(db: Db, now: number): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('sessions')
    .where('expires_at', '<=', now)
    .executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}
