import type { Namespace } from '../oci/name.ts';
import type { Origin, OriginState } from './origins.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';

/** A signed-in browser's session, and the current state of its origin. */
export interface Session extends Origin, OriginState {
  readonly account: number;
  readonly name: Namespace;
  readonly expiresAt: number;
}

const select = prepare((db, p: Params<{ hash: string }>) =>
  db
    .selectFrom('sessions')
    .innerJoin('accounts', 'accounts.id', 'sessions.account_id')
    .innerJoin('users', 'users.account_id', 'accounts.id')
    .leftJoin('access_tokens', 'access_tokens.id', 'sessions.origin_token')
    .leftJoin('identities', (join) =>
      join
        .onRef('identities.id', '=', 'sessions.origin_identity')
        .onRef('identities.account_id', '=', 'accounts.id'),
    )
    .select([
      'accounts.id as account',
      'accounts.name',
      'sessions.expires_at as expiresAt',
      'access_tokens.revoked_at as revokedAt',
      'sessions.origin_password as originPassword',
      'sessions.origin_identity as originIdentity',
      'sessions.origin_token as originToken',
      'identities.id as identity',
      'users.password_changed_at as passwordChangedAt',
      'users.token_only as tokenOnly',
    ])
    .where('sessions.hash', '=', p('hash'))
    .where('accounts.disabled_at', 'is', null)
    // A new password ends every session, whatever its origin: a thief of the former one may be signed in anywhere.
    .whereRef('users.password_changed_at', '<=', 'sessions.created_at'),
);

/** The session whose secret has the SHA-256 `hash`. The caller must check whether it is still valid. */
export function findSession(db: Db, hash: string): Promise<Session | undefined> {
  return first(select(db, { hash })) as Promise<Session | undefined>;
}

export async function insertSession(
  db: Db,
  session: Origin & {
    readonly hash: string;
    readonly account: number;
    readonly createdAt: number;
    readonly expiresAt: number;
  },
): Promise<void> {
  await db
    .insertInto('sessions')
    .values({
      hash: session.hash,
      account_id: session.account,
      origin_password: session.originPassword,
      origin_identity: session.originIdentity,
      origin_token: session.originToken,
      created_at: session.createdAt,
      expires_at: session.expiresAt,
    })
    .execute();
}

export async function deleteSession(db: Db, hash: string): Promise<void> {
  await db.deleteFrom('sessions').where('hash', '=', hash).execute();
}

/** Returns the number of deleted sessions. */
export async function deleteExpiredSessions(db: Db, now: number): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('sessions')
    .where('expires_at', '<=', now)
    .executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}
