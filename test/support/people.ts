// Who requests come from: accounts in a registry's database, and the headers that say who one is.
import { createHash, randomBytes } from 'node:crypto';
import { Access } from '../../src/access/access.ts';
import { BearerTokens } from '../../src/access/bearer.ts';
import type { Identity } from '../../src/access/identity.ts';
import { Logins } from '../../src/access/logins.ts';
import { SigningKeys } from '../../src/access/signing-keys.ts';
import type { BearerToken, Granted } from '../../src/access/token-verifier.ts';
import type { Database } from '../../src/db/database.ts';
import { makeToken } from './access.ts';
import type { Headers } from './inject.ts';

const minute = 60_000;

/** Tokens as the registry on this database hands them out: its keys are in there. */
export function tokensOf(database: Database, clock: () => number = database.clock): BearerTokens {
  const keys = new SigningKeys({ database, clock });
  return new BearerTokens({ keys, clock, lifetime: 5 * minute, refreshLifetime: 60 * minute });
}

/** What decides in a registry that is open to everyone. */
export function openAccess(database: Database): Access {
  const { clock } = database;
  return new Access({
    database,
    clock,
    policy: 'push',
    createNamespaces: 'administrators',
    tokens: tokensOf(database),
    logins: new Logins({ database, clock, passwordLogin: true, perAddress: 30, perAccount: 10 }),
  });
}

/** The headers of a token for the API. */
export async function bearer(
  tokens: BearerTokens,
  identity: Identity,
  granted: readonly Granted[],
  { catalog = false }: Partial<Pick<BearerToken, 'catalog'>> = {},
): Promise<Headers> {
  const { token } = await tokens.issue(identity, granted, catalog);
  return { authorization: `Bearer ${token}` };
}

/** An access token that an account logs in with, and the headers of such a login. */
export async function makeLogin(
  database: Database,
  account: { readonly id: number; readonly name: string },
  given: { scopes?: string; expires_at?: number; revoked_at?: number } = {},
): Promise<{ id: number; headers: Headers }> {
  const secret = `brth_${randomBytes(24).toString('hex')}`;
  const hash = createHash('sha256').update(secret).digest('hex');
  const id = await makeToken(database, account.id, { ...given, hash });
  return { id, headers: basic(account.name, secret) };
}

export function basic(name: string, password: string): Headers {
  return { authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}` };
}
