import type { Database } from '../db/database.ts';
import type { NamespaceClaim } from '../db/namespace-claim.ts';
import type { RepositoryRow } from '../db/repositories.ts';
import { allVisible } from '../db/repository-ranges.ts';
import { RegistryError } from '../oci/errors.ts';
import type { RepositoryName } from '../oci/name.ts';
import { anonymousCaller, type Caller } from './caller.ts';
import { Challenge } from './challenge.ts';
import { type Entitlements, loadEntitlements, loadStanding, rightsOn } from './entitlements.ts';
import type { Identity } from './identity.ts';
import { type Credentials, parseBasic } from './login/basic.ts';
import { type FindClaims, rightsOfClaimant } from './namespace-claims.ts';
import { inWords, isMet, type RegistryNeed, type RepositoryNeed } from './need.ts';
import { openRegistryPermit, type Permit, permitIn, permitOfRegistry } from './permit.ts';
import type { AnonymousAccess } from './policy.ts';
import { intersection, type Rights, rightsOfActions } from './rights.ts';
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
interface Standing {
  readonly entitlements: Entitlements;
  /** `undefined`: the repository does not exist. */
  readonly repository: RepositoryRow | undefined;
  readonly rights: Rights;
}

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
   * @param early true before the body is received: a token with the scope is enough, because this is called again afterwards
   * @throws Challenge, RegistryError `DENIED`
   */
  authorize(
    caller: Caller,
    need: RepositoryNeed,
    name: RepositoryName,
    early = false,
  ): Permit | Promise<Permit> {
    const { identity, token } = caller;
    if (caller === anonymousCaller && this.#parts.policy === 'push') return openRegistryPermit;
    if (token === undefined) return this.#lookUp(caller, need, name);
    const granted = token.granted.get(name);
    if (granted === undefined) throw new Challenge('insufficient_scope');
    const rights = rightsOfActions(granted.actions);
    if (!isMet(need, rights)) throw new Challenge('insufficient_scope');
    const trusted =
      early || identity.principal.kind === 'holder' || (need === 'pull' && granted.repository !== undefined);
    if (trusted) return permitIn(granted.repository, caller, rights, (from) => mayPullByToken(token, from));
    return this.#lookUp(caller, need, name, { granted, rights });
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

  async #lookUp(
    caller: Caller,
    need: RepositoryNeed,
    name: RepositoryName,
    limit?: { granted: Granted; rights: Rights },
  ): Promise<Permit> {
    const standing = await this.#standing(caller, name);
    if (limit?.granted.repository !== undefined && limit.granted.repository !== standing.repository?.id) {
      throw new Challenge('invalid_token');
    }
    const claim = isMet(need, standing.rights)
      ? undefined
      : await this.#findClaim(caller, need, name, standing.entitlements);
    const held = claim === undefined ? standing.rights : rightsOfClaimant(standing.entitlements, name);
    const rights = limit === undefined ? held : intersection(held, limit.rights);
    if (!isMet(need, rights)) throw refusal(caller, need, name);
    // Clients look for blobs before the push that creates the namespace. It has no blobs and no uploads yet, so they get a 404.
    if (claim !== undefined && need === 'pull') throw new RegistryError('NAME_UNKNOWN', { name });
    const mayPull = (from: RepositoryRow) => this.#mayPull(caller, standing, from);
    return permitIn(standing.repository?.id, caller, rights, mayPull, claim);
  }

  async #standing(caller: Caller, name: RepositoryName): Promise<Standing> {
    const { database, clock, passwordLogin, policy } = this.#parts;
    const moment = { now: clock(), passwordLogin };
    const { entitlements, repository } = await loadStanding(database.read, caller.identity, name, moment);
    if (entitlements === undefined) throw new Challenge(caller.token && 'invalid_token');
    return { entitlements, repository, rights: rightsOn(entitlements, name, repository?.visibility, policy) };
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

  #mayPull({ token }: Caller, { entitlements }: Standing, from: RepositoryRow): boolean {
    if (token !== undefined && !mayPullByToken(token, from)) return false;
    return rightsOn(entitlements, from.name, from.visibility, this.#parts.policy).has('pull');
  }
}

function callerOf(token: BearerToken): Caller {
  return { identity: token.identity, token };
}

function mayPullByToken(token: BearerToken, { id, name }: RepositoryRow): boolean {
  const granted = token.granted.get(name);
  if (granted === undefined || !rightsOfActions(granted.actions).has('pull')) return false;
  return granted.repository === undefined || granted.repository === id;
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
