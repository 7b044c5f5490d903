import type { OriginState } from './origins.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';
import type { AccountKind } from './schema.ts';

/** An access token and its owner. Times are milliseconds since 1970. */
export interface TokenLogin extends OriginState {
  readonly id: number;
  readonly accountId: number;
  readonly accountName: string;
  readonly kind: AccountKind;
  readonly accountDisabledAt: number | null;
  /** When the owner of a robot's namespace was disabled. */
  readonly ownerDisabledAt: number | null;
  readonly lastUsedAt: number | null;
}

const selectByHash = prepare((db, p: Params<{ hash: string }>) =>
  db
    .selectFrom('access_tokens')
    .innerJoin('accounts', 'accounts.id', 'access_tokens.account_id')
    .leftJoin('accounts as owners', 'owners.id', 'accounts.owner_id')
    .leftJoin('users', 'users.account_id', 'accounts.id')
    .leftJoin('identities', (join) =>
      join
        .onRef('identities.id', '=', 'access_tokens.origin_identity')
        .onRef('identities.account_id', '=', 'accounts.id'),
    )
    .select([
      'access_tokens.id',
      'accounts.id as accountId',
      'accounts.name as accountName',
      'accounts.kind',
      'accounts.disabled_at as accountDisabledAt',
      'owners.disabled_at as ownerDisabledAt',
      'access_tokens.expires_at as expiresAt',
      'access_tokens.revoked_at as revokedAt',
      'access_tokens.origin_password as originPassword',
      'access_tokens.origin_identity as originIdentity',
      'identities.id as identity',
      'users.password_changed_at as passwordChangedAt',
      'users.token_only as tokenOnly',
      'access_tokens.last_used_at as lastUsedAt',
    ])
    .where('access_tokens.hash', '=', p('hash')),
);

export function findTokenLogin(db: Db, hash: string): Promise<TokenLogin | undefined> {
  return first(selectByHash(db, { hash })) as Promise<TokenLogin | undefined>;
}

/** Records a use of the token, unless a use after `unlessSince` is already recorded. */
export async function noteTokenUse(
  db: Db,
  id: number,
  use: { readonly at: number; readonly from: string },
  unlessSince: number,
): Promise<void> {
  await db
    .updateTable('access_tokens')
    .set({ last_used_at: use.at, last_used_from: use.from })
    .where('id', '=', id)
    .where((where) => where.or([where('last_used_at', 'is', null), where('last_used_at', '<=', unlessSince)]))
    .execute();
}
