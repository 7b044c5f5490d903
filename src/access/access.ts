import type { Database } from '../db/database.ts';
import type { NamespaceClaim } from '../db/namespace-claim.ts';
import type { RepositoryRow } from '../db/repositories.ts';
import { findByAlias, findNamed, type NamedRepository } from '../db/repository-names.ts';
import { allVisible } from '../db/repository-ranges.ts';
import { RegistryError } from '../oci/errors.ts';
import type { RepositoryName } from '../oci/name.ts';
import { anonymousCaller, type Caller } from './caller.ts';
import { Challenge } from './challenge.ts';
import {
  type Entitlements,
  type Found,
  loadEntitlements,
  loadStanding,
  rightsOn,
  rightsUnder,
} from './entitlements.ts';
import type { Identity } from './identity.ts';
import { type Credentials, parseBasic } from './login/basic.ts';
import { type FindClaims, rightsOfClaimant } from './namespace-claims.ts';
import { inWords, isMet, type RegistryNeed, type RepositoryNeed } from './need.ts';
import { idOf, openRegistryPermit, type Permit, permitIn, permitOfRegistry } from './permit.ts';
import type { AnonymousAccess } from './policy.ts';
import { intersection, noRights, type Rights, rightsOfActions } from './rights.ts';
import type { BearerToken, Granted, TokenVerifier } from './tokens/token-verifier.ts';
import { visibleTo } from './visible.ts';

export interface AccessParts {
  readonly database: Database;
  readonly clock: () => number;
  readonly policy: AnonymousAccess;
  readonly findClaims: FindClaims;
  /** Whether passwords are accepted (`access.passwordLogin`). If not, sessions and tokens that began with one are refused. */
  readonly passwordLogin: boolean;
  readonly tokens: TokenVerifier;
  readonly logins: {
    /** @throws RegistryError `UNAUTHORIZED` | `TOOMANYREQUESTS` */
    authenticate(credentials: Credentials, address: string): Promise<Identity>;
  };
}

/** The rights of an identity in a repository at this moment. */
interface Standing extends Found {
  readonly entitlements: Entitlements;
}

/**
 * Why an authorization need not be final. `body`: it is repeated when the request's body has arrived, so a token with the scope is
 * enough. `miss`: a request that needs no query for its rights needs none for aliases either; if no repository has the name,
 * {@link Access.authorizeAlias} is asked.
 */
export type Provisional = 'body' | 'miss';

/** An authenticated caller without administrator rights made a request that needs them. */
export class NotAdministrator extends RegistryError {
  readonly identity: Identity;

  constructor(identity: Identity) {
    super('DENIED');
    this.identity = identity;
  }
}

/** Authenticates and authorizes requests. */
export class Access {
  readonly #parts: AccessParts;

  constructor(parts: AccessParts) {
    this.#parts = parts;
  }

  /**
   * Authenticates a request. Wrong credentials are an error, even if the request needs no credentials.
   * @param authorization the header's value
   * @param address the client's address
   * @throws Challenge, RegistryError `TOOMANYREQUESTS`
   */
  identify(authorization: string, address: string): Caller | Promise<Caller> {
    const bearer = /^bearer +(\S+) *$/i.exec(authorization)?.[1];
    return bearer === undefined ? this.#byLogin(authorization, address) : this.#byToken(bearer);
  }

  /**
   * Authorizes a request in a repository, which need not exist. A token with the scope is enough if another token server issued it,
   * or for a pull if it has the repository's id. For every other request, the rights are read from the database each time.
   *
   * A name that no repository has may be an alias; the rights are then those under the repository's name now.
   *
   * @param provisional absent if the result is final
   * @throws Challenge, RegistryError `DENIED`
   */
  authorize(
    caller: Caller,
    need: RepositoryNeed,
    name: RepositoryName,
    provisional?: Provisional,
  ): Permit | Promise<Permit> {
    const { identity, token } = caller;
    if (this.#isOpenTo(caller)) {
      return provisional ? openRegistryPermit : this.#withRepository(openRegistryPermit, need, name);
    }
    if (token === undefined) return this.#lookUp(caller, need, name);
    const limit = limitOf(token, name);
    if (limit === undefined || !isMet(need, limit.rights)) throw new Challenge('insufficient_scope');
    const { granted, rights } = limit;
    const trusted =
      provisional === 'body' ||
      identity.principal.kind === 'holder' ||
      (need === 'pull' && granted.repository !== undefined);
    if (!trusted) return this.#lookUp(caller, need, name, limit);
    const permit = permitIn(granted.repository, caller, rights, (from) => mayPullByToken(token, from));
    return provisional ? permit : this.#withRepository(permit, need, name);
  }

  /**
   * Authorizes a request that was authorized provisionally until a {@link Provisional miss}. `undefined` if the name is no alias, or
   * one of a repository that the caller may not pull.
   * @throws Challenge, RegistryError `DENIED`
   */
  async authorizeAlias(
    caller: Caller,
    need: RepositoryNeed,
    name: RepositoryName,
  ): Promise<Permit | undefined> {
    const { database, clock } = this.#parts;
    const found = await findByAlias(database.read, name, clock());
    return found && this.#permitByAlias(caller, need, name, found);
  }

  /**
   * Authorizes `GET /v2/` or a list of the repositories that the caller may pull. Many clients send credentials only after a
   * challenge. So `GET /v2/` without credentials is challenged unless anonymous callers may push, and a list unless they may pull
   * every repository. A token that was fetched without credentials lists the repositories that anonymous callers may pull.
   * @throws Challenge
   */
  authorizeRegistry(caller: Caller, need: RegistryNeed): Permit | Promise<Permit> {
    const { identity, token } = caller;
    const { policy } = this.#parts;
    if (caller === anonymousCaller) {
      if (policy === 'push') return openRegistryPermit;
      if (need === 'base' || policy !== 'pull') throw new Challenge();
    }
    if (need === 'base') return permitOfRegistry(caller);
    if (token?.catalog === false) throw new Challenge('insufficient_scope');
    return identity.principal.kind === 'holder'
      ? permitOfRegistry(caller, allVisible)
      : this.#catalogPermit(caller);
  }

  /**
   * Authenticates an administrator.
   * @throws NotAdministrator (`DENIED`); RegistryError `UNAUTHORIZED` | `TOOMANYREQUESTS`
   */
  async checkAdministrator(authorization: string | undefined, address: string): Promise<Identity> {
    const { logins } = this.#parts;
    const credentials = parseBasic(authorization);
    if (credentials === undefined) throw new RegistryError('UNAUTHORIZED');
    const identity = await logins.authenticate(credentials, address);
    const entitlements = await this.#load(identity);
    // A credential with scopes gives rights in repositories only.
    if (!entitlements?.administrator || entitlements.scopes !== undefined)
      throw new NotAdministrator(identity);
    return identity;
  }

  async #byLogin(authorization: string, address: string): Promise<Caller> {
    const credentials = parseBasic(authorization);
    if (credentials === undefined)
      throw new Challenge(undefined, { detail: 'Authorization is neither Basic nor Bearer' });
    try {
      return { identity: await this.#parts.logins.authenticate(credentials, address) };
    } catch (error) {
      throw asChallenge(error);
    }
  }

  #byToken(text: string): Caller | Promise<Caller> {
    const refuse = (error: unknown): never => {
      throw asChallenge(error, 'invalid_token');
    };
    try {
      const token = this.#parts.tokens.verify(text);
      return token instanceof Promise ? token.then(callerOf, refuse) : callerOf(token);
    } catch (error) {
      return refuse(error);
    }
  }

  async #catalogPermit(caller: Caller): Promise<Permit> {
    const entitlements = await this.#entitlements(caller);
    return permitOfRegistry(caller, visibleTo(entitlements, this.#parts.policy));
  }

  async #entitlements({ identity, token }: Caller): Promise<Entitlements> {
    const entitlements = await this.#load(identity);
    if (entitlements === undefined) throw new Challenge(token && 'invalid_token');
    return entitlements;
  }

  #load(identity: Identity): Promise<Entitlements | undefined> {
    const { database, clock, passwordLogin } = this.#parts;
    return loadEntitlements(database.read, identity, { now: clock(), passwordLogin });
  }

  #isOpenTo(caller: Caller): boolean {
    return caller === anonymousCaller && this.#parts.policy === 'push';
  }

  /** Completes a permit that needed no query: with the repository's id, or with that of the repository that the alias stands for. */
  async #withRepository(permit: Permit, need: RepositoryNeed, name: RepositoryName): Promise<Permit> {
    const { database, clock } = this.#parts;
    const found = await findNamed(database.read, name, clock());
    if (found === undefined) return permit;
    if (found.aliasUntil === undefined) return { ...permit, repository: permit.repository ?? found.id };
    return (await this.#permitByAlias(permit.caller, need, name, found)) ?? permit;
  }

  async #permitByAlias(
    caller: Caller,
    need: RepositoryNeed,
    name: RepositoryName,
    found: NamedRepository,
  ): Promise<Permit | undefined> {
    const { identity, token } = caller;
    if (this.#isOpenTo(caller)) return { ...openRegistryPermit, ...idOf(found) };
    if (token !== undefined && identity.principal.kind === 'holder') {
      // The other token server decides about names, and knows no aliases.
      const rights = limitOf(token, found.name)?.rights ?? noRights;
      if (!rights.has('pull') || !isMet(need, rights)) return undefined;
      return permitIn(found, caller, rights, (from) => mayPullByToken(token, from));
    }
    const permit = await this.#lookUp(caller, need, name, token && limitOf(token, name));
    return permit.alias && permit;
  }

  async #lookUp(caller: Caller, need: RepositoryNeed, name: RepositoryName, limit?: Limit): Promise<Permit> {
    const standing = await this.#standing(caller, name);
    const { repository } = standing;
    if (limit?.granted.repository !== undefined && limit.granted.repository !== repository?.id) {
      throw new Challenge('invalid_token');
    }
    const claim =
      isMet(need, standing.rights) || repository?.aliasUntil !== undefined
        ? undefined
        : await this.#findClaim(caller, need, name, standing.entitlements);
    const held = claim === undefined ? standing.rights : rightsOfClaimant(standing.entitlements, name);
    const rights = limit === undefined ? held : intersection(held, limit.rights);
    if (!isMet(need, rights)) throw refusal(caller, need, repository?.name ?? name);
    // Clients look for blobs before the push that creates the namespace. It has no blobs and no uploads yet, so they get a 404.
    if (claim !== undefined && need === 'pull') throw new RegistryError('NAME_UNKNOWN', { name });
    const mayPull: Permit['mayPull'] = (from, asked) => this.#mayPull(caller, standing, from, asked);
    return permitIn(repository, caller, rights, mayPull, claim);
  }

  async #standing(caller: Caller, name: RepositoryName): Promise<Standing> {
    const { database, clock, passwordLogin, policy } = this.#parts;
    const moment = { now: clock(), passwordLogin };
    const { entitlements, repository } = await loadStanding(database.read, caller.identity, name, moment);
    if (entitlements === undefined) throw new Challenge(caller.token && 'invalid_token');
    return { entitlements, ...rightsUnder(entitlements, name, repository, policy) };
  }

  async #findClaim(
    { identity: { principal } }: Caller,
    need: RepositoryNeed,
    name: RepositoryName,
    entitlements: Entitlements,
  ): Promise<NamespaceClaim | undefined> {
    if (need === 'delete') return undefined;
    const { database, findClaims } = this.#parts;
    const claims = await findClaims(database.read, { principal, entitlements }, [name]);
    return claims.get(name);
  }

  #mayPull({ token }: Caller, { entitlements }: Standing, from: RepositoryRow, asked = from.name): boolean {
    if (token !== undefined && !mayPullByToken(token, from, asked)) return false;
    return rightsOn(entitlements, from.name, from.visibility, this.#parts.policy).has('pull');
  }
}

function callerOf(token: BearerToken): Caller {
  return { identity: token.identity, token };
}

/** The rights that a token gives under a name. */
interface Limit {
  readonly granted: Granted;
  readonly rights: Rights;
}

function limitOf(token: BearerToken, name: RepositoryName): Limit | undefined {
  const granted = token.granted.get(name);
  return granted && { granted, rights: rightsOfActions(granted.actions) };
}

function mayPullByToken(token: BearerToken, { id, name }: RepositoryRow, asked = name): boolean {
  const limit = limitOf(token, asked);
  if (limit === undefined || !limit.rights.has('pull')) return false;
  return limit.granted.repository === undefined || limit.granted.repository === id;
}

/** Anonymous callers are asked to log in; authenticated ones are denied. */
function refusal({ identity }: Caller, need: RepositoryNeed, name: RepositoryName): RegistryError {
  if (identity.principal.kind === 'anonymous') return new Challenge();
  return new RegistryError('DENIED', `you may not ${inWords(need, name)}`);
}

/** Turns wrong credentials into a challenge. Any other error stays as it is. */
function asChallenge(cause: unknown, fault?: 'invalid_token'): unknown {
  if (!(cause instanceof RegistryError) || cause.code !== 'UNAUTHORIZED') return cause;
  return new Challenge(fault, { cause });
}
