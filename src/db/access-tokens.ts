import type { Origin, OriginState } from './origins.ts';
import type { Db } from './prepare.ts';
import type { AccountKind } from './schema.ts';

export interface NewAccessToken extends Origin {
  readonly account: number;
  readonly name: string;
  readonly hash: string;
  readonly scopes: string;
  readonly expiresAt: number | null;
}

/** Returns the new token's id. */
export async function insertAccessToken(db: Db, token: NewAccessToken, now: number): Promise<number> {
  const { id } = await db
    .insertInto('access_tokens')
    .values({
      account_id: token.account,
      name: token.name,
      hash: token.hash,
      scopes: token.scopes,
      created_at: now,
      expires_at: token.expiresAt,
      origin_password: token.originPassword,
      origin_identity: token.originIdentity,
      origin_token: token.originToken,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  return id;
}

/** A token without its hash. Times are milliseconds since 1970. */
export interface AccessTokenRow extends Origin, OriginState {
  readonly id: number;
  readonly name: string;
  readonly owner: string;
  readonly ownerKind: AccountKind;
  readonly scopes: string;
  readonly createdAt: number;
  readonly lastUsedAt: number | null;
  readonly lastUsedFrom: string | null;
}

/** All tokens ever created, or those of the account, by owner and age. */
export function listAccessTokens(db: Db, account?: number): Promise<AccessTokenRow[]> {
  return selectTokens(db)
    .$if(account !== undefined, (query) => query.where('accounts.id', '=', account as number))
    .orderBy('accounts.name')
    .orderBy('access_tokens.id')
    .execute();
}

/**
 * The account's newest tokens that are neither revoked nor expired, at most `limit`, oldest first. Excludes tokens that ended with
 * their origin, by the rule of `access/origin.ts`.
 */
export async function listUsableTokens(
  db: Db,
  account: number,
  { now, passwordLogin }: { readonly now: number; readonly passwordLogin: boolean },
  limit: number,
): Promise<AccessTokenRow[]> {
  const newest = await selectTokens(db)
    .where('accounts.id', '=', account)
    .where('access_tokens.revoked_at', 'is', null)
    .where(({ eb, or }) =>
      or([eb('access_tokens.expires_at', 'is', null), eb('access_tokens.expires_at', '>', now)]),
    )
    .where(({ eb, or, and, ref }) =>
      or([
        eb('access_tokens.origin_password', 'is', null),
        ...(passwordLogin
          ? [
              and([
                eb('access_tokens.origin_password', '=', ref('users.password_changed_at')),
                eb('users.token_only', '=', 0),
              ]),
            ]
          : []),
      ]),
    )
    .where(({ eb, or }) =>
      or([eb('access_tokens.origin_identity', 'is', null), eb('identities.id', 'is not', null)]),
    )
    .orderBy('access_tokens.id', 'desc')
    .limit(limit)
    .execute();
  return newest.toReversed();
}

/** The account id of the token's owner; `undefined` if there is no such token. */
export async function findTokenOwner(db: Db, id: number): Promise<number | undefined> {
  const row = await db
    .selectFrom('access_tokens')
    .select('account_id')
    .where('id', '=', id)
    .executeTakeFirst();
  return row?.account_id;
}

function selectTokens(db: Db) {
  return db
    .selectFrom('access_tokens')
    .innerJoin('accounts', 'accounts.id', 'access_tokens.account_id')
    .leftJoin('users', 'users.account_id', 'accounts.id')
    .leftJoin('identities', (join) =>
      join
        .onRef('identities.id', '=', 'access_tokens.origin_identity')
        .onRef('identities.account_id', '=', 'accounts.id'),
    )
    .select([
      'access_tokens.id',
      'access_tokens.name',
      'accounts.name as owner',
      'accounts.kind as ownerKind',
      'access_tokens.scopes',
      'access_tokens.created_at as createdAt',
      'access_tokens.expires_at as expiresAt',
      'access_tokens.last_used_at as lastUsedAt',
      'access_tokens.last_used_from as lastUsedFrom',
      'access_tokens.revoked_at as revokedAt',
      'access_tokens.origin_password as originPassword',
      'access_tokens.origin_identity as originIdentity',
      'access_tokens.origin_token as originToken',
      'identities.id as identity',
      'users.password_changed_at as passwordChangedAt',
      'users.token_only as tokenOnly',
    ]);
}

/** The fields of a token that decide whether sessions and tokens created with it are valid. */
export function findOriginToken(
  db: Db,
  id: number,
): Promise<
  | (Pick<Origin, 'originPassword' | 'originIdentity'> &
      Pick<AccessTokenRow, 'scopes' | 'expiresAt' | 'revokedAt'>)
  | undefined
> {
  return db
    .selectFrom('access_tokens')
    .select([
      'scopes',
      'expires_at as expiresAt',
      'revoked_at as revokedAt',
      'origin_password as originPassword',
      'origin_identity as originIdentity',
    ])
    .where('id', '=', id)
    .executeTakeFirst();
}

/**
 * Revokes the token for good, and recursively all tokens created in sessions signed in with it. The transaction must have locked
 * accounts, so that no token is created meanwhile.
 *
 * @returns the ids of the tokens that were not revoked before
 */
export async function setRevoked(db: Db, id: number, now: number): Promise<number[]> {
  const revoked = await db
    .withRecursive('made', (db) =>
      db
        .selectFrom('access_tokens')
        .select('id')
        .where('id', '=', id)
        .union(
          db
            .selectFrom('access_tokens')
            .innerJoin('made', 'made.id', 'access_tokens.origin_token')
            .select('access_tokens.id'),
        ),
    )
    .updateTable('access_tokens')
    .set({ revoked_at: now })
    .where('id', 'in', (select) => select.selectFrom('made').select('id'))
    .where('revoked_at', 'is', null)
    .returning('id')
    .execute();
  return revoked.map((token) => token.id).sort((a, b) => a - b);
}

/** When the token was revoked, in milliseconds since 1970; `undefined` if it is not revoked or does not exist. */
export async function findRevocation(db: Db, id: number): Promise<number | undefined> {
  const row = await db
    .selectFrom('access_tokens')
    .select('revoked_at')
    .where('id', '=', id)
    .executeTakeFirst();
  return row?.revoked_at ?? undefined;
}
