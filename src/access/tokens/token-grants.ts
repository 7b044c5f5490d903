import type { Database } from '../../db/database.ts';
import { inTurns } from '../../db/in-turns.ts';
import { findRepositoryRows, type RepositoryRow } from '../../db/repositories.ts';
import { RegistryError } from '../../oci/errors.ts';
import type { RepositoryName } from '../../oci/name.ts';
import type { Steps } from '../../oci/steps.ts';
import { type Entitlements, loadEntitlements, rightsOn } from '../entitlements.ts';
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
  /** Namespaces that users create by a push. */
  readonly findClaims: FindClaims;
  /** Whether passwords are accepted at all: where they are not, nothing that one began is. */
  readonly passwordLogin: boolean;
}

/** A token, and what it came to be good for. */
export interface TokenGrant {
  readonly token: string;
  /** Seconds. */
  readonly expiresIn: number;
  /** Milliseconds since 1970. */
  readonly issuedAt: number;
  readonly granted: readonly Granted[];
  readonly catalog: boolean;
  /** When the credential ends that it was fetched with, in milliseconds since 1970; `undefined`: not by itself. */
  readonly until: number | undefined;
}

/** Decides what the tokens are good for that the token server hands out: what was asked for, as far as there is a right to it now. */
export class TokenGrants {
  readonly #parts: TokenGrantsParts;

  constructor(parts: TokenGrantsParts) {
    this.#parts = parts;
  }

  /**
   * A token for the identity. It may be good for nothing: then it says that the login is right.
   * @throws RegistryError `UNAUTHORIZED` when the identity no longer holds, or the registry is for nobody without a login
   */
  async grant(identity: Identity, asked: Asked): Promise<TokenGrant> {
    const { database, tokens, clock, policy, passwordLogin } = this.#parts;
    if (identity.principal.kind === 'anonymous' && policy === 'none') throw new RegistryError('UNAUTHORIZED');
    const entitlements = await loadEntitlements(database.read, identity, { now: clock(), passwordLogin });
    if (entitlements === undefined) throw new RegistryError('UNAUTHORIZED');
    const granted = await this.#grantAll(identity, entitlements, asked.repositories);
    // Whoever lists repositories is shown those that they may pull.
    const { catalog } = asked;
    const { until } = entitlements;
    return { ...(await tokens.issue(identity, granted, catalog, until)), granted, catalog, until };
  }

  /** What fetches more tokens as this one was; `undefined` where there is nobody to fetch them, or no time left to do so. */
  async refreshToken(
    { principal, credential }: Identity,
    { until }: TokenGrant,
  ): Promise<string | undefined> {
    const { tokens, clock } = this.#parts;
    if (principal.kind === 'anonymous' || (until !== undefined && until <= clock())) return undefined;
    return tokens.issueRefresh({ principal, credential }, until);
  }

  /** However many are asked for, it takes a query for the repositories, and two for namespaces that nobody has yet. */
  async #grantAll(
    { principal }: Identity,
    entitlements: Entitlements,
    asked: Asked['repositories'],
  ): Promise<Granted[]> {
    if (asked.size === 0) return [];
    const { database, policy, findClaims } = this.#parts;
    const found = await findRepositoryRows(database.read, [...asked.keys()]);
    const rows = new Map(found.map((row) => [row.name, row]));
    const each = await inTurns(rightsOnEach(entitlements, asked, rows, policy));
    const pushed = each.filter(({ rights, actions }) => !rights.has('create') && actions.some(isPush));
    // The push itself claims the namespace; no token could be had for it otherwise.
    const claimable = await findClaims(
      database.read,
      { principal, entitlements },
      pushed.map(({ name }) => name),
    );
    return each
      .map(({ name, actions, repository, rights }) => {
        const all = claimable.has(name) ? rightsOfClaimant(entitlements, name) : rights;
        return { name, actions: actionsWithin(all, actions), repository };
      })
      .filter(({ actions }) => actions.length > 0);
  }
}

interface AskedRepository {
  readonly name: RepositoryName;
  readonly actions: readonly Action[];
  readonly repository: number | undefined;
  readonly rights: Rights;
}

/** A hundred names by a hundred patterns take a while. */
function* rightsOnEach(
  entitlements: Entitlements,
  asked: Asked['repositories'],
  rows: ReadonlyMap<RepositoryName, RepositoryRow>,
  policy: AnonymousAccess,
): Steps<AskedRepository[]> {
  const each: AskedRepository[] = [];
  for (const [name, actions] of asked) {
    const row = rows.get(name);
    const rights = rightsOn(entitlements, name, row?.visibility, policy);
    each.push({ name, actions, repository: row?.id, rights });
    yield;
  }
  return each;
}

const pushes: ReadonlySet<Action> = new Set(['push', 'create', '*']);

function isPush(action: Action): boolean {
  return pushes.has(action);
}

/** What each action takes at least: who may push new tags only has to be let in, and is told at the tag that stands. */
const needs = { pull: 'pull', push: 'create', create: 'create', delete: 'delete' } as const;

/** `*` (2.1: skopeo's delete) is as much of all as there is. */
function actionsWithin(rights: Rights, asked: readonly Action[]): Action[] {
  const wanted = asked.flatMap((action) =>
    action === '*' ? (['pull', 'push', 'delete'] as const) : [action],
  );
  return [...new Set(wanted)].filter((action) => rights.has(needs[action]));
}
