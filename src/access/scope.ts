// What a token is asked for, or is good for at most: `repository:acme/app:pull,push`, several parted by spaces.

import type { RepositoryName } from '../oci/name.ts';
import { asPattern, matches, type Pattern } from './pattern.ts';
import { type Action, asAction, noRights, type Rights, rightsOfActions, union } from './rights.ts';

/** What a credential is good for at most, on the repositories that the pattern matches. */
export interface Scope {
  readonly pattern: Pattern;
  readonly actions: readonly Action[];
}

/** `repository:PATTERN:ACTION,…`, or `undefined`. */
export function parseScope(text: string): Scope | undefined {
  const match = /^repository:([^:]+):([^:]+)$/.exec(text);
  if (match === null) return undefined;
  const [, resource = '', list = ''] = match;
  const pattern = asPattern(resource);
  const actions = list.split(',').map(asAction);
  if (pattern === undefined || actions.includes(undefined)) return undefined;
  return { pattern, actions: [...new Set(actions as Action[])] };
}

export function printScope({ pattern, actions }: Scope): string {
  return `repository:${pattern}:${actions.join(',')}`;
}

/** As they are kept in the database; only what {@link printScopes} wrote. */
export function readScopes(text: string): readonly Scope[] {
  return text === '' ? [] : text.split(' ').map((one) => parseScope(one) as Scope);
}

export function printScopes(scopes: readonly Scope[]): string {
  return scopes.map(printScope).join(' ');
}

/** The rights that the scopes leave to whoever has all of them. */
export function rightsInScopes(scopes: readonly Scope[], name: RepositoryName): Rights {
  const matching = scopes.filter(({ pattern }) => matches(pattern, name));
  return matching.length === 0 ? noRights : union(matching.map(({ actions }) => rightsOfActions(actions)));
}
