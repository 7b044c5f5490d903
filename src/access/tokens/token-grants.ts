import type { Database } from '../../db/database.ts';
import { inTurns } from '../../db/in-turns.ts';
import { findAllNamed, type NamedRepository } from '../../db/repository-names.ts';
import { RegistryError } from '../../oci/errors.ts';
import type { RepositoryName } from '../../oci/name.ts';
import type { Steps } from '../../oci/steps.ts';
import { type Entitlements, type Found, loadEntitlements, rightsUnder } from '../entitlements.ts';
import type { Identity } from '../identity.ts';
import { type FindClaims, rightsOfClaimant } from '../namespace-claims.ts';
import type { AnonymousAccess } from '../policy.ts';
import type { Action, Rights } from '../rights.ts';
import type { BearerTokens } from './bearer.ts';
import type { Asked } from './docker-scope.ts';
import type { Granted } from './token-verifier.ts';

export interface TokenGrantsParts {
  readonly database: Database;
  readonly tokens: BearerTokens;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly policy: AnonymousAccess;
  readonly findClaims: FindClaims;
  /** Whether passwords are accepted (`access.passwordLogin`). If not, logins that began with a password are refused. */
  readonly passwordLogin: boolean;
}

/** A token, and what it gives access to. */
export interface TokenGrant {
  readonly token: string;
  /** Seconds. */
  readonly expiresIn: number;
  /** Milliseconds since 1970. */
  readonly issuedAt: number;
  readonly granted: readonly Granted[];
  readonly catalog: boolean;
  /** End of the credential used, in milliseconds since 1970; `undefined`: it does not expire. */
  readonly until: number | undefined;
}

/** Decides the rights of the token server's tokens: the requested rights that the caller has now. */
export class TokenGrants {
  readonly #parts: TokenGrantsParts;

  constructor(parts: TokenGrantsParts) {
    this.#parts = parts;
  }

  /**
   * Grants a token. It may give no rights; then it only proves that the login is right.
   * @throws RegistryError `UNAUTHORIZED` if the identity is no longer valid, or is anonymous and the policy is `none`
   */
  async grant(identity: Identity, asked: Asked): Promise<TokenGrant> {
    const { database, tokens, clock, policy, passwordLogin } = this.#parts;
    if (identity.principal.kind === 'anonymous' && policy === 'none') throw new RegistryError('UNAUTHORIZED');
    const entitlements = await loadEntitlements(database.read, identity, { now: clock(), passwordLogin });
    if (entitlements === undefined) throw new RegistryError('UNAUTHORIZED');
    const granted = await this.#grantAll(identity, entitlements, asked.repositories);
    // The catalog shows each caller only the repositories that it may pull.
    const { catalog } = asked;
    const { until } = entitlements;
    return { ...(await tokens.issue(identity, granted, catalog, until)), granted, catalog, until };
  }

  /** Issues a refresh token for the same identity; `undefined` if anonymous, or if the credential has expired. */
  async refreshToken(
    { principal, credential }: Identity,
    { until }: TokenGrant,
  ): Promise<string | undefined> {
    const { tokens, clock } = this.#parts;
    if (principal.kind === 'anonymous' || (until !== undefined && until <= clock())) return undefined;
    return tokens.issueRefresh({ principal, credential }, until);
  }

  /** Makes one query for all requested repositories, and two for free namespaces. */
  async #grantAll(
    { principal }: Identity,
    entitlements: Entitlements,
    asked: Asked['repositories'],
  ): Promise<Granted[]> {
    if (asked.size === 0) return [];
    const { database, clock, policy, findClaims } = this.#parts;
    const found = await findAllNamed(database.read, [...asked.keys()], clock());
    const each = await inTurns(rightsOnEach(entitlements, asked, found, policy));
    const pushed = each.filter(
      ({ rights, repository, actions }) =>
        // Under an alias, nobody claims the namespace of the former name.
        repository?.aliasUntil === undefined && !rights.has('create') && actions.some(isPush),
    );
    // The push itself claims the namespace, but needs a token for it first.
    const claimable = await findClaims(
      database.read,
      { principal, entitlements },
      pushed.map(({ name }) => name),
    );
    return each
      .map(({ name, actions, repository, rights }) => {
        const all = claimable.has(name) ? rightsOfClaimant(entitlements, name) : rights;
        // Under an alias the token has the alias, which the client asked for, and the id of its repository.
        return { name, actions: actionsWithin(all, actions), repository: repository?.id };
      })
      .filter(({ actions }) => actions.length > 0);
  }
}

interface AskedRepository extends Found {
  readonly name: RepositoryName;
  readonly actions: readonly Action[];
}

/** Yields after each name, because matching a hundred names with a hundred patterns takes long. */
function* rightsOnEach(
  entitlements: Entitlements,
  asked: Asked['repositories'],
  found: ReadonlyMap<RepositoryName, NamedRepository>,
  policy: AnonymousAccess,
): Steps<AskedRepository[]> {
  const each: AskedRepository[] = [];
  for (const [name, actions] of asked) {
    each.push({ name, actions, ...rightsUnder(entitlements, name, found.get(name), policy) });
    yield;
  }
  return each;
}

const pushes: ReadonlySet<Action> = new Set(['push', 'create', '*']);

function isPush(action: Action): boolean {
  return pushes.has(action);
}

/** The right that each action needs. A caller that may only push new tags gets `push`; a PUT that would move a tag is denied. */
const needs = { pull: 'pull', push: 'create', create: 'create', delete: 'delete' } as const;

/** `*` (2.1: skopeo's delete) gives every action that the rights allow. */
function actionsWithin(rights: Rights, asked: readonly Action[]): Action[] {
  const wanted = asked.flatMap((action) =>
    action === '*' ? (['pull', 'push', 'delete'] as const) : [action],
  );
  return [...new Set(wanted)].filter((action) => rights.has(needs[action]));
}
