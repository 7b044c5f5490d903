import type { Db } from './prepare.ts';
import type { AccountKind } from './schema.ts';

export interface NewAccessToken {
  readonly account: number;
  readonly name: string;
  readonly hash: string;
  readonly scopes: string;
  readonly expiresAt: number | null;
}

/** The new token's id. */
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
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  return id;
}

/** What may be shown of a token. Times are milliseconds since 1970. */
export interface AccessTokenRow {
  readonly id: number;
  readonly name: string;
  readonly owner: string;
  readonly ownerKind: AccountKind;
  readonly scopes: string;
  readonly createdAt: number;
  readonly expiresAt: number | null;
  readonly lastUsedAt: number | null;
  readonly lastUsedFrom: string | null;
  readonly revokedAt: number | null;
}

/** All tokens that were ever made, or the account's own, by owner and age. */
export function listAccessTokens(db: Db, account?: number): Promise<AccessTokenRow[]> {
  return selectTokens(db)
    .$if(account !== undefined, (query) => query.where('accounts.id', '=', account as number))
    .orderBy('accounts.name')
    .orderBy('access_tokens.id')
    .execute();
}

/** The account's newest tokens that are neither revoked nor ended, at most `limit`, by age. */
export async function listUsableTokens(
  db: Db,
  account: number,
  now: number,
  limit: number,
): Promise<AccessTokenRow[]> {
  const newest = await selectTokens(db)
    .where('accounts.id', '=', account)
    .where('access_tokens.revoked_at', 'is', null)
    .where(({ eb, or }) =>
      or([eb('access_tokens.expires_at', 'is', null), eb('access_tokens.expires_at', '>', now)]),
    )
    .orderBy('access_tokens.id', 'desc')
    .limit(limit)
    .execute();
  return newest.toReversed();
}

/** Whose token it is; `undefined` where there is none of that id. */
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
    ]);
}

/** Ends the token for good; since when it is ended, or `undefined` when there is none of that id. */
export async function setRevoked(db: Db, id: number, now: number): Promise<number | undefined> {
  const row = await db
    .updateTable('access_tokens')
    .set((column) => ({ revoked_at: column.fn.coalesce('revoked_at', column.val(now)) }))
    .where('id', '=', id)
    .returning('revoked_at')
    .executeTakeFirst();
  return row?.revoked_at ?? undefined;
}
