// Accounts in a registry's database, and headers with their credentials.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { Access } from '../../src/access/access.ts';
import { makeAccessToken } from '../../src/access/login/access-token.ts';
import { Logins } from '../../src/access/login/logins.ts';
import { BearerTokens } from '../../src/access/tokens/bearer.ts';
import { SigningKeys } from '../../src/access/tokens/signing-keys.ts';
import type { Database } from '../../src/db/database.ts';
import type { Role } from '../../src/db/schema.ts';
import { insertLink, insertRow, makeOrganisation, makeRobot, makeToken, makeUser } from './access.ts';
import { Client, type Headers } from './inject.ts';
import { type ConfigInput, testRegistry } from './registry.ts';

/** Access of a registry in which everyone has all rights. */
export function openAccess(database: Database): Access {
  const { clock } = database;
  const keys = new SigningKeys({ database, clock });
  return new Access({
    database,
    clock,
    policy: 'push',
    findClaims: async () => new Map(),
    passwordLogin: true,
    tokens: new BearerTokens({
      keys,
      clock,
      lifetime: 300_000,
      refreshLifetime: 3_600_000,
      passwordLogin: true,
    }),
    logins: new Logins({ database, clock, passwordLogin: true, perAddress: 30, perAccount: 10 }),
  });
}

/** An account's access token, and the headers to log in with it. */
export async function makeLogin(
  database: Database,
  account: { readonly id: number; readonly name: string },
  given: { scopes?: string; expires_at?: number; revoked_at?: number } = {},
): Promise<{ id: number; headers: Headers }> {
  const { token, hash } = makeAccessToken();
  const id = await makeToken(database, account.id, { ...given, hash });
  return { id, headers: basic(account.name, token) };
}

export function basic(name: string, password: string): Headers {
  return { authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}` };
}

/** The accounts of {@link connectPeople}'s registry; `nobody` sends no credentials. */
export type Person =
  | 'nobody'
  | 'stranger'
  | 'reader'
  | 'writer'
  | 'creator'
  | 'maintainer'
  | 'boss'
  | 'robot'
  | 'root'
  | 'expired'
  | 'revoked'
  | 'disabled';

export interface People {
  readonly client: Client;
  /** Listens, for tests that need connections; returns the URL. */
  readonly url: () => Promise<string>;
  readonly database: Database;
  /** Login headers by account. */
  readonly logins: Readonly<Record<Person, Headers>>;
  /** Access token ids by account. */
  readonly tokens: Readonly<Record<Exclude<Person, 'nobody'>, number>>;
  /** Account ids by account name. */
  readonly accounts: Readonly<Record<Exclude<Person, 'nobody'>, number>>;
}

/**
 * A registry with the organisation `acme` and accounts with different roles on `acme/**`: `boss` is a member, others have a grant.
 * `creator` has the role write, but an access token that cannot move tags. `robot` has the role maintain, but an access token that
 * can only pull. `expired`, `revoked` and `disabled` have the role admin, but cannot log in.
 */
export async function connectPeople(t: TestContext, overrides: ConfigInput = {}): Promise<People> {
  const { app, database } = await testRegistry(t, { anonymous: 'public', ...overrides });
  const acme = await makeOrganisation(database, 'acme');
  const logins: Record<string, Headers> = { nobody: {} };
  const tokens: Record<string, number> = {};
  const accounts: Record<string, number> = {};
  const add = async (person: Person, role?: Role, token: Parameters<typeof makeLogin>[2] = {}) => {
    const name = person === 'robot' ? 'acme+robot' : person;
    const administrator = Number(person === 'root');
    const id = await (person === 'robot'
      ? makeRobot(database, name, acme)
      : makeUser(database, name, { administrator }));
    if (person === 'boss') {
      await insertLink(database, 'members', { organisation_id: acme, account_id: id, role: 'admin' });
    } else if (role !== undefined) {
      await insertRow(database, 'grants', { pattern: 'acme/**', account_id: id, role, created_at: 1 });
    }
    const login = await makeLogin(database, { id, name }, token);
    [logins[person], tokens[person], accounts[person]] = [login.headers, login.id, id];
  };
  await add('stranger');
  await add('reader', 'read');
  await add('writer', 'write');
  await add('creator', 'write', { scopes: 'repository:acme/**:pull,create' });
  await add('maintainer', 'maintain');
  await add('boss');
  await add('robot', 'maintain', { scopes: 'repository:acme/**:pull' });
  await add('root');
  await add('expired', 'admin', { expires_at: 1 });
  await add('revoked', 'admin', { revoked_at: 1 });
  await add('disabled', 'admin');
  await database.transaction((db) =>
    db
      .updateTable('accounts')
      .set({ disabled_at: 1 })
      .where('id', '=', accounts.disabled as number)
      .execute(),
  );
  const url = async () => (await app.listen()).url;
  const made = { logins, tokens, accounts } as Pick<People, 'logins' | 'tokens' | 'accounts'>;
  return { client: new Client(app.http), url, database, ...made };
}

/** Fetches a token from the registry's own token server, with these login headers. */
export async function fetchToken(
  client: Client,
  login: Headers,
  ...scopes: readonly string[]
): Promise<Headers> {
  const query = new URLSearchParams([['service', 'berth'], ...scopes.map((scope) => ['scope', scope])]);
  const answer = await client.fetch('GET', `/auth/token?${query}`, login);
  assert.equal(answer.status, 200, answer.body.toString());
  return { authorization: `Bearer ${answer.json<{ token: string }>().token}` };
}

/** Makes a repository public or private. */
export async function setVisible(database: Database, name: string, visibility: 'public' | 'private') {
  await database.transaction((db) =>
    db.updateTable('repositories').set({ visibility }).where('name', '=', name).execute(),
  );
}
