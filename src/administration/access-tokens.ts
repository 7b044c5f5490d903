import { makeAccessToken } from '../access/login/access-token.ts';
import { earlier, endOf } from '../access/origin.ts';
import { Refused } from '../access/refused.ts';
import { printScopes } from '../access/scope.ts';
import {
  type AccessTokenRow,
  findRevocation,
  findTokenOwner,
  insertAccessToken,
  listAccessTokens,
  setRevoked,
} from '../db/access-tokens.ts';
import { findAccountById } from '../db/accounts.ts';
import type { Database } from '../db/database.ts';
import { noOrigin, type Origin } from '../db/origins.ts';
import type { Db } from '../db/prepare.ts';
import { accountNamed } from './accounts.ts';
import { type ActingDatabase, change, type Recorder } from './change.ts';
import { parseScopes } from './parse-scopes.ts';
import { parseLine } from './text.ts';

/** The owner of a token: a user or a robot. */
export interface TokenOwner {
  readonly kind: 'user' | 'robot';
  readonly name: string;
}

export interface NewToken {
  readonly owner: TokenOwner;
  /** A name that the owner chose. */
  readonly name?: string;
  /** Limits of the token's rights; empty: no limits. */
  readonly scopes: readonly string[];
  /** Milliseconds from now; `null`: until it is revoked. */
  readonly lifetime: number | null;
  /** Origin of the session that creates the token; the token ends with it. Absent: an administrator creates the token. */
  readonly origin?: Origin;
}

const day = 86_400_000;
const maxLifetime = 3_650 * day;

/**
 * Gives the token, which cannot be shown again, and its end in milliseconds since 1970, which may be earlier than requested.
 * @throws Refused
 */
export async function createAccessToken(
  database: ActingDatabase,
  { owner, name, scopes, lifetime, origin = noOrigin }: NewToken,
): Promise<{ id: number; token: string; expiresAt: number | null }> {
  const bound = printScopes(parseScopes(scopes));
  const called = name === undefined ? '' : parseLine("a token's name", name);
  if (lifetime !== null && (lifetime < 1 || lifetime > maxLifetime)) {
    throw new Refused('the lifetime of a token must be above 0 and at most 3650d, or never');
  }
  const { token, hash } = makeAccessToken();
  const now = database.clock();
  return change(database, async (db, record) => {
    const account = await enabledOwner(db, owner);
    const expiresAt = earlier(lifetime === null ? null : now + lifetime, await endOf(db, origin));
    const row = { ...origin, account, name: called, hash, scopes: bound, expiresAt };
    const id = await insertAccessToken(db, row, now);
    await record('token.create', {
      ...{ token: id, [owner.kind]: owner.name, scopes: bound === '' ? [] : bound.split(' ') },
      expiresAt: expiresAt === null ? null : new Date(expiresAt).toISOString(),
    });
    return { id, token, expiresAt };
  });
}

async function enabledOwner(db: Db, { kind, name }: TokenOwner): Promise<number> {
  const account = await accountNamed(db, name, kind);
  const namespace = account.ownerId && (await findAccountById(db, account.ownerId));
  for (const one of [account, namespace]) {
    if (one && one.disabledAt !== null) {
      throw new Refused(`${one.name} is disabled: a token of ${account.name} would not work`);
    }
  }
  return account.id;
}

/** All tokens, or those of one owner, including expired and revoked ones. @throws Refused */
export async function accessTokensOf(
  { read }: Pick<Database, 'read'>,
  owner: TokenOwner | undefined,
): Promise<AccessTokenRow[]> {
  return listAccessTokens(read, owner && (await accountNamed(read, owner.name, owner.kind)).id);
}

/** Revokes the token and those created with it. Gives the time of the first revocation. @throws Refused */
export function revokeAccessToken(database: ActingDatabase, id: number): Promise<number> {
  return change(database, (db, record) => revoke(db, record, id, database.clock()));
}

/** Revokes a token of this user. @throws Refused when the user has no token with this id */
export async function revokeOwnToken(database: ActingDatabase, user: string, id: number): Promise<void> {
  await change(database, async (db, record) => {
    const { id: account } = await accountNamed(db, user, 'user');
    if ((await findTokenOwner(db, id)) !== account) throw new Refused('you have no such token');
    await revoke(db, record, id, database.clock());
  });
}

async function revoke(db: Db, record: Recorder, id: number, now: number): Promise<number> {
  for (const token of await setRevoked(db, id, now)) {
    await record('token.revoke', { token, ...(token !== id && { madeBy: id }) });
  }
  const since = await findRevocation(db, id);
  if (since === undefined) throw new Refused(`there is no token ${id} (berth token list shows them)`);
  return since;
}
